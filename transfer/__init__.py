"""Customer Transfer: one word per thing.

========== =================================================================================
word       meaning
========== =================================================================================
transfer   moving one customer account from one reseller to another; one workflow each
party      who has a say: the *old reseller*, the *customer*, the *new reseller*
slot       one of the three authorizations: *release*, *authorize*, *accept*; one per party
ticket     what a party files in its own control panel; the only evidence of what it wants
submission a ticket handed to a transfer, as a doorbell signal or an update
accepted   a submission that was judged valid and changed its slot
rejected   a submission that was judged invalid: a code, a fix, and nothing else changes
refusal    a party says no before it has said yes
withdrawal a party takes back the yes it gave
mediation  staff talk to an old reseller who refuses, withdraws or is silent
escalation the case opened in the staff queue for a mediation or a stuck commit
grace      the wait between READY and the commit, told to all parties as an exact instant
re-check   everything is read once more, right before billing moves
commit     billing moves, at one instant, in one database transaction
charges    plan, price, currency: what the new reseller accepts to be billed for a customer
evidence   who did what, when, with which ticket: kept in the database beyond the workflow
notice     what a reader is told about an event: a mail, or a reply on the reader's ticket
lock       the time after a completed transfer in which the customer cannot be moved again
policy     every clock and choice of a transfer, pinned when it starts
doorbell   a signal: it names a ticket and is otherwise not trusted
========== =================================================================================
"""
