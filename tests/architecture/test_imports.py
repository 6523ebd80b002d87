"""What a workflow can reach, and what an error tells Temporal."""

from __future__ import annotations

import subprocess
import sys

from transfer import errors
from transfer.errors import TransferError, non_retryable_names
from transfer.temporal import COMMIT, PATIENT

WITH_IO = ("sqlalchemy", "jinja2", "aiosmtplib", "psycopg", "typer", "rich", "alembic")


def test_no_module_with_io_is_imported_by_the_workflows() -> None:
    """They are imported anew inside the sandbox, for every transfer."""
    program = (
        "import sys, workflows.customer_transfer;"
        f"print(*[name for name in {WITH_IO!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_what_is_not_retried_follows_from_the_tree_of_errors() -> None:
    """Temporal compares exact names of leaves, so each class has to be listed by itself."""
    classes = [
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, TransferError)
    ]
    assert set(non_retryable_names()) == {cls.__name__ for cls in classes if not cls.retryable}
    assert "Unreachable" not in non_retryable_names()
    assert COMMIT.non_retryable_error_types == non_retryable_names()
    assert not PATIENT.non_retryable_error_types, "a transfer never fails for a neighbour's error"
    assert COMMIT.maximum_attempts == PATIENT.maximum_attempts == 0
