"""Everything fails while transfers are in flight; then all is let run, and counted.

``plan`` says from a seed who does what when, and what fails when; ``people`` do it, in their
``offices``; ``town`` runs the programs and makes them fail, with ``proxy`` between them and
``sink`` for their mails; ``quiet`` says when nothing has to happen any more, ``found`` reads what
there is then, and ``counting`` what of that is wrong. ``python -m tests.chaos`` is all of it.
"""
