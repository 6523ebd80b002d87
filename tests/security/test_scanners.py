"""What `make check` looks for: known vulnerabilities, secrets in files, dangerous code."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LOCK = "".join(
    f"{name}=={version} \\\n    --hash=sha256:{'0' * 64}\n"
    for name, version in (("alpha", "1.0"), ("beta", "2.0"), ("gamma", "3.0"), ("delta", "4.0"))
)


@contextmanager
def vulnerabilities(**known: str) -> Generator[str]:
    """A service that knows a vulnerability of these packages alone."""

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["package"]["name"]
            answer: dict[str, object] = {}
            if name in known:
                ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}]
                package = {"name": name, "ecosystem": "PyPI"}
                affected = {"package": package, "ranges": ranges, "versions": [asked["version"]]}
                answer = {"vulns": [{"id": known[name], "summary": "bad", "affected": [affected]}]}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()


def audited(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """The audit of a lock by a service."""
    lock = folder / "some.lock"
    lock.write_text(LOCK, encoding="utf-8")
    command = [sys.executable, str(ROOT / "tools/audit.py"), "--osv-url", url, str(lock)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_a_known_vulnerability_fails_the_check(tmp_path: Path) -> None:
    with vulnerabilities(delta="PYSEC-2026-1") as url:
        done = audited(tmp_path, url)
    assert done.returncode == 1
    assert "some.lock: delta 4.0: PYSEC-2026-1, mended in 9.9" in done.stderr
    assert "NOT AUDITED" not in done.stderr


def test_where_all_is_well_nothing_is_said(tmp_path: Path) -> None:
    with vulnerabilities() as url:
        done = audited(tmp_path, url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_service_that_is_away_is_said_and_fails_nobody(tmp_path: Path) -> None:
    with vulnerabilities() as url:
        pass
    done = audited(tmp_path, url)
    assert done.returncode == 0
    assert "some.lock is NOT AUDITED" in done.stderr
    assert "Connection refused" in done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository of its own."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)  # noqa: S607
    return tmp_path


def leaks(folder: Path, *arguments: str) -> tuple[int, str]:
    """What the scan for secrets says of a repository."""
    command = [sys.executable, str(ROOT / "tools/leaks.py"), "--root", str(folder), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "password = 'kX9-hunter-2qw'",
        "url = postgresql://transfer:kX9hunter2qw@db.example/transfer",
        "TRANSFER_WEBHOOK_SECRET: whsec_9Xk2JqPz7LmVb4Rt8NwYcE1uHsGdAoFi",
        "keys: 2026-01:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
        "aws = 'AKIAQWERTYUIOPASDFGH'",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_a_new_secret_fails_the_check_until_it_is_said_to_be_made_up(
    folder: Path, line: str
) -> None:
    Path(folder, "kept.yaml").write_text("nothing: here\n", encoding="utf-8")
    assert leaks(folder) == (0, "")
    Path(folder, "kept.yaml").write_text(f"nothing: here\n{line}\n", encoding="utf-8")
    code, said = leaks(folder)
    assert code == 1
    assert "kept.yaml:2: " in said
    assert "take it out" in said
    assert line not in said
    assert leaks(folder, "--write")[0] == 0
    assert leaks(folder) == (0, "")
    Path(folder, "copied.yaml").write_text(f"{line}\n", encoding="utf-8")
    assert leaks(folder)[0] == 1, "what is known of one file is not known of another"


def test_what_git_ignores_is_not_looked_at(folder: Path) -> None:
    Path(folder, ".gitignore").write_text("/.env\n", encoding="utf-8")
    Path(folder, ".env").write_text("password = 'kX9-hunter-2qw'\n", encoding="utf-8")
    assert leaks(folder) == (0, "")


def test_dangerous_code_fails_the_check(tmp_path: Path) -> None:
    command = [str(BIN / "bandit"), "-q", "-c", str(ROOT / "pyproject.toml"), "-r"]
    Path(tmp_path, "unsafe.py").write_text(
        "import subprocess\nsubprocess.run('ls ' + input(), shell=True)\n", encoding="utf-8"
    )
    done = subprocess.run([*command, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "shell=True" in done.stdout
