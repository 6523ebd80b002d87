"""Mutation testing: break the rules of a transfer one piece at a time, and see that a test minds.

mutmut does it, in a copy in a temporary folder, which vanishes; the tree is only read. It leaves
decorated functions alone, and the state of a case is a property, so the copy has its properties in
their long form. What survived is printed as docs/mutants.md lists it.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/mutants.md"
COPIED = ("transfer", "gateway", "workflows", "activities", "tests", "docs", "README.md")
FLOOR = 90
"""Percent of the mutants of each file that have to be killed."""
WORKERS = 2
LONGEST_SECONDS = 45 * 60
"""A bound far beyond what a run takes; a mutant that never ends is stopped long before."""

# What is broken, as mutmut names it: Python modules, and in them functions.
TARGETS = {
    "transfer/case.py": ("transfer.case.*",),
    "transfer/tickets.py": ("transfer.tickets.*",),
    "transfer/billing.py": ("transfer.billing.*",),
    "transfer/adapters/moves.py": ("transfer.adapters.moves.*",),
    # The rest of this file reads and loads accounts.
    "transfer/adapters/sql/accounts.py": tuple(
        f"transfer.adapters.sql.accounts.x{name}__mutmut_*"
        for name in (
            *("ǁSqlAccountsǁmove_billing", "__move", "__read_back"),
            *("__customer", "__reseller"),
        )
    ),
}
# What is meant to hold it. mutmut runs, of these, the tests that reach the broken function.
TESTS = (
    "tests/core/test_billing.py",
    "tests/core/test_case.py",
    "tests/core/test_clocks.py",
    "tests/core/test_commit.py",
    "tests/core/test_levers.py",
    "tests/core/test_opening.py",
    "tests/core/test_submissions.py",
    "tests/core/test_tickets.py",
    "tests/adapters/test_billing.py",
    "tests/adapters/test_moves.py",
)
# PostgreSQL says what SQLite says, and later; but only it locks rows.
SELECTED = (
    "-k",
    "not postgresql or stays_as_it_was_judged",
    "-p",
    "no:cacheprovider",
    "--no-header",
)

KILLED, TIMED_OUT, SURVIVED, UNTESTED = "killed", "timeouts", "survived", "untested"
# Statuses of a worker's process, by mutmut's own table.
OUTCOMES = {
    **dict.fromkeys((1, 3), KILLED),
    **dict.fromkeys((5, 33), UNTESTED),
    0: SURVIVED,
    **dict.fromkeys((-24, 24, 36, 152, 255, -9), TIMED_OUT),
}

_PROPERTY = re.compile(
    r"""
    ^(?P<indent>[ ]+)@property\n
    (?P<function>
        (?P=indent)def[ ](?P<name>\w+)\(.*\n
        (?:(?P=indent)[ ].*\n|\n(?=(?P=indent)[ ]))*  # deeper, or blank before what is deeper
    )""",
    re.MULTILINE | re.VERBOSE,
)


def in_long_form(source: str) -> str:
    """The same module with ``@property`` above a function written as an assignment below it."""
    return _PROPERTY.sub(r"\g<function>\g<indent>\g<name> = property(\g<name>)\n", source)


def prepare(folder: Path) -> None:
    """Copy what is needed, and tell mutmut what to do."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "pictures")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    for name in TARGETS:
        path = folder / name
        rewritten = in_long_form(path.read_text(encoding="utf-8"))
        if "@property" in rewritten:
            sys.exit(f"mutants: a property of {name} is in a form that in_long_form does not know")
        path.write_text(rewritten, encoding="utf-8")
    settings = {
        "source_paths": ["transfer"],
        "only_mutate": list(TARGETS),
        "also_copy": [name for name in COPIED if name != "transfer"],
        "pytest_add_cli_args": list(SELECTED),
        "pytest_add_cli_args_test_selection": list(TESTS),
        "timeout_constant": 5.0,  # seconds beside the tests' own, times the next
        "timeout_multiplier": 5.0,
    }
    # JSON's lists, texts and numbers are TOML's too.
    table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(f"{pyproject}\n[tool.mutmut]\n{table}", encoding="utf-8")


def run(folder: Path, wanted: Iterable[str]) -> str:
    """Break and test, in that folder; say what went wrong, if anything did."""
    command = (sys.executable, "-m", "mutmut", "run", "--max-children", str(WORKERS), *wanted)
    scratch = folder / "tmp"
    scratch.mkdir()
    # The order of tests comes out of sets of names.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TMPDIR": str(scratch)}
    with (
        (folder / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as running,
    ):
        try:
            failed = running.wait(LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            return f"mutants: stopped after {LONGEST_SECONDS} s. Is this machine busy? Try again."
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            _end_servers(scratch)
    said = (folder / "log").read_text(encoding="utf-8")
    return f"{said[-4000:]}\nmutants: the tests fail without any mutant" if failed else ""


def _end_servers(scratch: Path) -> None:
    """End the PostgreSQL servers of workers that were stopped: each has left the group."""
    for path in scratch.glob("pg-*/postmaster.pid"):
        with suppress(ProcessLookupError, ValueError, IndexError):
            os.kill(int(path.read_text(encoding="utf-8").splitlines()[0]), signal.SIGQUIT)


def outcomes(folder: Path, name: str, wanted: Iterable[str]) -> dict[str, str]:
    """What became of each mutant of a file that was asked for."""
    meta = json.loads((folder / "mutants" / f"{name}.meta").read_text(encoding="utf-8"))
    found: Mapping[str, int | None] = meta["exit_code_by_key"]
    patterns = tuple(wanted)
    return {
        mutant: OUTCOMES.get(-1 if status is None else status, SURVIVED)
        for mutant, status in found.items()
        if any(fnmatch(mutant, pattern) for pattern in patterns)
    }


def in_one_line(diff: str) -> str:
    """What a mutant changes: the lines that go, and those that come."""
    lines = [line for line in diff.splitlines() if line[:1] in "+-"]
    lines = [line for line in lines if not line.startswith(("+++", "---"))]
    gone = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    come = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return f"`{gone}` → `{come}`"


def shown(folder: Path, mutant: str) -> str:
    """A mutant in one line: the function, and what is changed in it."""
    ran = subprocess.run(
        (sys.executable, "-m", "mutmut", "show", mutant),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    function = mutant.partition("__mutmut_")[0].rpartition(".")[2]
    names = function.split("ǁ")[1:] or [function.removeprefix("x_")]
    return f"{'.'.join(names)}: {in_one_line(ran.stdout)}"


def percent(counts: Mapping[str, int]) -> float:
    """How many of the mutants were killed. One that never ends was noticed as well."""
    total = sum(counts.values())
    return 100 * (counts[KILLED] + counts[TIMED_OUT]) / total if total else 0.0


def main(names: Iterable[str]) -> str | int:
    """Return an exit status; a text is printed and means 1."""
    began = time.monotonic()
    chosen = {name: TARGETS[name] for name in names}
    known = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    total: Counter[str] = Counter()
    low: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        folder = Path(place)
        prepare(folder)
        if problem := run(folder, [one for patterns in chosen.values() for one in patterns]):
            return problem
        print("| file | mutants | killed | timeouts | survived | untested | % |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        lived: list[str] = []
        for name, patterns in chosen.items():
            found = outcomes(folder, name, patterns)
            counts = Counter(found.values())
            total += counts
            _print_row(f"`{name}`", counts)
            if percent(counts) < FLOOR:
                low.append(name)
            lived += [one for one, how in found.items() if how in {SURVIVED, UNTESTED}]
        _print_row("all", total)
        lines = [shown(folder, one) for one in lived]
    print(f"\nmutants: {len(lines)} survived; it took {time.monotonic() - began:.0f} s")
    for line in lines:
        print(f"- {line}" + ("" if line in known else "  <- not in docs/mutants.md"))
    if low:
        return f"mutants: fewer than {FLOOR} % were killed in {', '.join(low)}. Add the tests."
    return 0


def _print_row(name: str, counts: Mapping[str, int]) -> None:
    numbers = (counts[KILLED], counts[TIMED_OUT], counts[SURVIVED], counts[UNTESTED])
    shown_numbers = " | ".join(map(str, numbers))
    print(f"| {name} | {sum(numbers)} | {shown_numbers} | {percent(counts):.1f} |", flush=True)


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Leave by an exception, so that what was started ends and the folder vanishes."""
    sys.exit("mutants: told to stop")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"some of {', '.join(TARGETS)}")
    signal.signal(signal.SIGTERM, _stop)
    files: list[str] = parser.parse_args().files
    if unknown := set(files) - set(TARGETS):
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(TARGETS)}")
    sys.exit(main(files or TARGETS))
