"""Say whether a file holds something that looks like a secret and is not known to be made up.

.secrets.baseline has what is known: hashes of the made-up secrets of tests and examples, by file.
`--write` makes it anew; look at each line that it adds before committing it. What was found in a
file is remembered in .venv until that file changes: reading all of them takes ten seconds.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ".secrets.baseline"
REMEMBERED = Path(".venv/.leaks.json")
# Hashes of packages, pictures, and recorded histories of made-up transfers.
UNREAD = re.compile(
    r"(^|/)(requirements(-\w+)?\.lock|\.secrets\.baseline|.*\.(png|gz|ico|woff2?))$"
)
RULES = {
    "plugins_used": [
        {"name": "ArtifactoryDetector"},
        {"name": "AWSKeyDetector"},
        {"name": "AzureStorageKeyDetector"},
        {"name": "Base64HighEntropyString", "limit": 4.5},
        {"name": "BasicAuthDetector"},
        {"name": "GitHubTokenDetector"},
        {"name": "GitLabTokenDetector"},
        {"name": "HexHighEntropyString", "limit": 3.0},
        {"name": "JwtTokenDetector"},
        {"name": "KeywordDetector"},
        {"name": "OpenAIDetector"},
        {"name": "PrivateKeyDetector"},
        {"name": "PypiTokenDetector"},
        {"name": "SendGridDetector"},
        {"name": "SlackDetector"},
        {"name": "StripeDetector"},
        {"name": "TelegramBotTokenDetector"},
        {"name": "TwilioKeyDetector"},
    ],
    "filters_used": [
        {"path": f"detect_secrets.filters.{name}"}
        for name in (
            "allowlist.is_line_allowlisted",
            "heuristic.is_indirect_reference",
            "heuristic.is_likely_id_string",
            "heuristic.is_not_alphanumeric_string",
            "heuristic.is_potential_uuid",
            "heuristic.is_prefixed_with_dollar_sign",
            "heuristic.is_sequential_string",
            "heuristic.is_templated_secret",
        )
    ],
}
# A webhook's secret and an encryption key as this service has them: no rule above knows those bare.
OURS = re.compile(r"whsec_[A-Za-z0-9+/]{32,}|\b[\w.-]{1,40}:[A-Za-z0-9+/_-]{43}=(?!=)")

WHAT_TO_DO = """\
This looks like a secret. If it is one, take it out, and replace it wherever it is used: git may
have it already. If it is made up: python tools/leaks.py --write"""


Found = tuple[str, str, int]
"""What kind of secret it looks like, its hash, its line."""
Remembered = dict[str, list[Found]]


def files() -> list[str]:
    """What git knows or would take."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in names if name and not UNREAD.search(name) and Path(name).is_file()]


def suspects(name: str) -> list[Found]:
    """What looks like a secret in a file: what kind it is, its hash, its line."""
    with transient_settings(RULES):
        known = {(one.type, one.secret_hash, one.line_number) for one in scan_file(name)}
    lines = Path(name).read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        known |= {
            ("Key of this service", hashlib.sha1(text.encode()).hexdigest(), number)  # noqa: S324 - as in the rules' own
            for text in OURS.findall(line)
            if "allowlist secret" not in line
        }
    return sorted(known, key=lambda one: (one[2], one[0]))


def scanned(names: list[str]) -> Remembered:
    """What is found in each file; those that have not changed are not read again."""
    rules = json.dumps([RULES, OURS.pattern, version("detect-secrets")])
    digests = {
        name: hashlib.sha256(f"{rules}\0{name}\0".encode() + Path(name).read_bytes()).hexdigest()
        for name in names
    }
    remembered: Remembered = {}
    with contextlib.suppress(OSError, ValueError):
        remembered = json.loads(REMEMBERED.read_text(encoding="utf-8"))
    new = [name for name in names if digests[name] not in remembered]
    if len(new) > 20:
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            seen = dict(zip(new, pool.map(suspects, new, chunksize=20), strict=True))
    else:
        seen = {name: suspects(name) for name in new}
    remembered |= {digests[name]: what for name, what in seen.items()}
    kept = {digest: remembered[digest] for digest in digests.values()}
    if REMEMBERED.parent.is_dir():
        REMEMBERED.write_text(json.dumps(kept), encoding="utf-8")
    return {name: kept[digest] for name, digest in digests.items() if kept[digest]}


def main() -> str | int:
    """Return an exit status; a text is printed and means 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="take what is found for made up")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.chdir(asked.root)
    everything = scanned(files())
    if asked.write:
        lines = {
            n: sorted({f"{kind} {hash_}" for kind, hash_, _ in w}) for n, w in everything.items()
        }
        Path(BASELINE).write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
        return 0
    known: dict[str, list[str]] = (
        json.loads(Path(BASELINE).read_text(encoding="utf-8")) if Path(BASELINE).exists() else {}
    )
    leaks = [
        f"{name}:{line}: {kind}"
        for name, what in everything.items()
        for kind, hash_, line in what
        if f"{kind} {hash_}" not in known.get(name, ())
    ]
    if leaks:
        return "\n".join((*leaks, WHAT_TO_DO))
    return 0


if __name__ == "__main__":
    sys.exit(main())
