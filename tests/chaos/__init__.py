"""Everything fails while transfers are in flight; then all is let run, and counted.

``plan`` says from a seed who does what when, and what fails when; ``people`` do it; ``town`` runs
the programs and makes them fail, with ``proxy`` between them and ``sink`` for their mails;
``counting`` says what came of it. ``python -m tests.chaos`` is all of it, and ``make chaos``.
"""
