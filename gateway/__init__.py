"""The way in from outside: the webhook by which a ticket system announces its tickets.

What comes in is checked (``signing``, ``wire``), finds its transfer (``reception``), and is told to
it (``transfers``). It is answered only after what the answer says is durable.
"""
