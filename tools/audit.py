"""Say whether a locked package has a known vulnerability. pip-audit asks; this reads its answer.

A found one is a failure. A service that cannot be reached is none, since offline nobody can mend
that, but it is said: pip-audit itself calls a package fine of which it could learn nothing, as
behind a mirror of PyPI that serves packages and no vulnerabilities.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-runtime.lock")
SOCKET_SECONDS = 10
TOTAL_SECONDS = 180
FIRST = 3
"""Packages asked about first: where nothing is known of them, nobody asks about the others."""

Ask = Callable[[str], dict[str, Any] | str]
"""Asks about the requirements in a text; a text back says why there is no answer."""


def asked_of(lock: str, ask: Ask) -> tuple[list[str], str]:
    """The vulnerabilities in a lock, one line each; and why it is not known, or nothing."""
    answer = ask(_beginning(lock))
    if isinstance(answer, str):
        return [], answer
    if not _known(answer):
        return [], "the service knows nothing of its first packages, as a mirror does"
    answer = ask(lock)
    if isinstance(answer, str):
        return [], answer
    unknown = len(answer["dependencies"]) - _known(answer)
    found = [
        f"{package['name']} {package['version']}: {one['id']}"
        + (f", mended in {', '.join(one['fix_versions'])}" if one["fix_versions"] else "")
        for package in answer["dependencies"]
        for one in package.get("vulns", ())
    ]
    return found, f"the service knows nothing of {unknown} of its packages" if unknown else ""


def pip_audit(requirements: str, osv_url: str = "") -> dict[str, Any] | str:
    """Ask PyPI, or a service like OSV's, about pinned requirements."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requirements.txt")
        path.write_text(requirements, encoding="utf-8")
        command = [
            *[sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--no-deps"],
            *["--requirement", str(path), "--format", "json", "--progress-spinner", "off"],
            *["--timeout", str(SOCKET_SECONDS), "--desc", "off", "--aliases", "off"],
            *(["--vulnerability-service", "osv", "--osv-url", osv_url] if osv_url else []),
        ]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=TOTAL_SECONDS
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {TOTAL_SECONDS} s"
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines() or ["nothing"]
        return f"pip-audit said: {said[-1][:300]}"
    return answer


def _known(answer: dict[str, Any]) -> int:
    return sum("vulns" in package for package in answer["dependencies"])


def _beginning(lock: str) -> str:
    """The first packages of a lock, with their hashes."""
    taken: list[str] = []
    packages = 0
    for line in lock.splitlines():
        packages += "==" in line
        if packages > FIRST:
            break
        taken.append(line)
    return "\n".join(taken).rstrip().removesuffix("\\") + "\n"


def main(locks: list[Path], ask: Ask = pip_audit) -> int:
    """Say what is known, and return an exit status."""
    failed = False
    for lock in locks:
        found, unknown = asked_of(lock.read_text(encoding="utf-8"), ask)
        if unknown:
            print(
                f"audit: {lock.name} is NOT AUDITED, or not all of it: {unknown}", file=sys.stderr
            )
        for one in found:
            print(f"audit: {lock.name}: {one}. Run: make lock UPGRADE=1", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", nargs="*", type=Path, default=[ROOT / name for name in LOCKS])
    parser.add_argument("--osv-url", default="", help="ask a service like api.osv.dev's instead")
    given = parser.parse_args()
    sys.exit(main(given.locks, partial(pip_audit, osv_url=given.osv_url)))
