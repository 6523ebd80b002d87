"""Accounts, the built-in desk, the ledger and the staff queue on SQLite or PostgreSQL."""
