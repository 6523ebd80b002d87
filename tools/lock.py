"""Write the three lock files, or say whether they still fit pyproject.toml.

requirements.lock holds everything, with hashes; requirements-runtime.lock holds what the image
needs, and requirements-proof.lock what benchmarks and mutation tests need, at the same versions.
Present pins stay unless pyproject.toml rules them out.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING, RUNTIME = "requirements.lock", "requirements-runtime.lock"
PROOF = "requirements-proof.lock"


def resolve(folder: Path, *, upgrade: bool = False) -> None:
    """Write both locks in `folder`; versions that its present locks name are preferred."""
    compiling = [
        *[sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet"],
        *["--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate"],
        # Keeps indexes, options and paths of one machine out of the files.
        *["--no-config", "--custom-compile-command", "make lock"],
        *(["--upgrade"] if upgrade else []),
    ]
    everything, runtime, proof = folder / EVERYTHING, folder / RUNTIME, folder / PROOF
    subprocess.run([*compiling, "--group", "dev", "-o", everything], cwd=ROOT, check=True)
    same: list[str | Path] = [*compiling, "-c", everything]
    subprocess.run([*same, "-o", runtime], cwd=ROOT, check=True)
    subprocess.run([*same, "--group", "proof", "-o", proof], cwd=ROOT, check=True)


def pins(lock: Path) -> list[str]:
    """Each package's version and marker, not its hashes: they grow when a release gains a wheel."""
    return [line.removesuffix(" \\") for line in lock.read_text().splitlines() if "==" in line]


def stale() -> list[str]:
    """The locks that would come out differently now."""
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        for lock in (EVERYTHING, RUNTIME, PROOF):
            shutil.copy(ROOT / lock, fresh)
        resolve(fresh)
        locks = (EVERYTHING, RUNTIME, PROOF)
        return [lock for lock in locks if pins(ROOT / lock) != pins(fresh / lock)]


def main() -> str | int:
    """Return an exit status; a text is printed and means 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if stale")
    parser.add_argument("--upgrade", action="store_true", help="take the newest that fit")
    asked = parser.parse_args()
    try:
        if asked.check:
            locks = " and ".join(stale())
            return f"{locks}: no longer fitting pyproject.toml, run make lock" if locks else 0
        resolve(ROOT, upgrade=asked.upgrade)
    except subprocess.CalledProcessError:
        return "uv could not resolve pyproject.toml: it says above why"
    return 0


if __name__ == "__main__":
    sys.exit(main())
