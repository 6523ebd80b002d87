"""Build the wheel, install it beside the locked runtime only, and import all of it from there.

What an editable install hides shows here: a file the wheel leaves behind, a template that is not
packed, a module of the service that imports what only the tests install.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hatchling.build import build_wheel

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("transfer", "gateway", "workflows", "activities")
MODULES = ("worker.py", "starter.py")

# Runs in the bare environment. Migrations run at import, inside Alembic's own context.
IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
names = ["worker", "starter"]
for package in sys.argv[1:]:
    names.append(package)
    found = importlib.import_module(package)
    assert pathlib.Path(found.__file__).is_relative_to(sys.prefix), found.__file__
    names += [module.name for module in pkgutil.walk_packages(found.__path__, f"{package}.")]
names = [name for name in names if ".migrations." not in name]
for name in names:
    importlib.import_module(name)
"""


def left_behind(wheel: Path) -> list[str]:
    """Files of the service that the wheel lacks."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    wanted = [path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"]
    return [name for name in (*MODULES, *wanted) if name not in packed]


def main() -> str | int:
    """Return an exit status; a text is printed and means 1."""
    os.chdir(ROOT)  # hatchling builds where it stands
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = folder / build_wheel(name)
        if missing := left_behind(wheel):
            return f"the wheel lacks {', '.join(missing)}"
        bare = folder / "bare"
        uv = (sys.executable, "-m", "uv", "--quiet", "--no-config")
        install = (*uv, "pip", "install", "--python", bare)
        for command in (
            (*uv, "venv", "--python", sys.executable, bare),
            (*install, "--require-hashes", "-r", "requirements-runtime.lock"),
            (*install, "--no-deps", wheel),
            (bare / "bin" / "python", "-I", "-c", IMPORT_ALL, *PACKAGES),
            (bare / "bin" / "python", "-I", bare / "bin" / "transfer", "--help"),
        ):
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                return f"{ran.stderr}the wheel does not work on its own"
    return 0


if __name__ == "__main__":
    sys.exit(main())
