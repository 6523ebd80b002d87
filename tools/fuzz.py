"""Random histories against the model, for minutes: round after round, each by a seed of its own.

The first counterexample ends it, as a story, and with it the line that tells the same one again.
"""

import argparse
import secrets
import shlex
import subprocess
import sys
import time

TESTS = "tests/model"


def main() -> int:
    """Return 0 where nothing was found, 1 where the last round has printed what was."""
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    asked = parser.parse_args()
    end, seed = time.monotonic() + 60 * asked.minutes, asked.seed
    while seed == asked.seed or time.monotonic() < end:
        pytest = ["-q", "--no-header", TESTS, "--hypothesis-profile=fuzz"]
        pytest.append(f"--hypothesis-seed={seed}")
        print(f"fuzz: seed {seed}", flush=True)
        if subprocess.run([sys.executable, "-m", "pytest", *pytest], check=False).returncode:
            print(f"fuzz: the same again: .venv/bin/pytest {shlex.join(pytest)}")
            return 1
        seed += 1
    print(f"fuzz: nothing found by the seeds {asked.seed} to {seed - 1}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
