"""Ask Prometheus' own tool what the alerts do, and whether it understands the dashboard."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
RULES = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana/dashboard.json"
# Grafana puts them in; how long they are is nothing to a parser.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1d"}


def dashboard_rules(dashboard: Path) -> str:
    """Every query of a dashboard as a rule, for promtool to parse: JSON is YAML, too."""
    panels = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    rules = []
    for panel in panels:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            place = f"dashboard:panel_{panel['id']}:{target['refId']}"
            rules.append({"record": place, "expr": query})
    return json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}, indent=1)


def without_discovery(configuration: Path) -> str:
    """A configuration less what Debian's build leaves out: it finds nothing in clusters."""
    whole = YAML(typ="safe", pure=True).load(configuration.read_text(encoding="utf-8"))
    for job in whole["scrape_configs"]:
        del job["kubernetes_sd_configs"]
    return json.dumps(whole)


def main() -> str | int:
    """Return an exit status; a text is printed and means 1."""
    promtool = shutil.which("promtool")
    if promtool is None:
        return "alerts: promtool is not here; it comes with Prometheus. Try: make test-alerts"
    with tempfile.TemporaryDirectory() as name:
        asked = Path(name) / "dashboard.yml"
        asked.write_text(dashboard_rules(DASHBOARD), encoding="utf-8")
        in_kubernetes = Path(name) / "kubernetes.yml"
        in_kubernetes.write_text(without_discovery(RULES / "kubernetes.yml"), encoding="utf-8")
        commands: tuple[tuple[str, tuple[str | Path, ...]], ...] = (
            ("the example configuration", ("check", "config", RULES / "prometheus.yml")),
            ("the one for Kubernetes", ("check", "config", "--syntax-only", in_kubernetes)),
            ("the rules", ("check", "rules", "--lint-fatal", RULES / "rules.yml")),
            ("the dashboard's queries", ("check", "rules", "--lint-fatal", asked)),
            ("when alerts fire", ("test", "rules", *sorted(RULES.glob("*_test.yml")))),
        )
        for what, command in commands:
            print(f"alerts: {what}", flush=True)
            ran = subprocess.run(
                (promtool, *command), capture_output=True, text=True, check=False, timeout=600
            )
            if ran.returncode:
                return f"{ran.stdout}{ran.stderr}alerts: {what}: see above"
    return 0


if __name__ == "__main__":
    sys.exit(main())
