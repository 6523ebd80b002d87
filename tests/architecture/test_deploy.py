"""What is deployed: names that exist, ports that agree, enough time to stop, and no secret."""

from __future__ import annotations

import copy
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import gateway.__main__ as gateway_program
import worker as worker_program
from gateway import codec as codec_program
from tools.manifests import Resource, container, keys, labels, named, of, pod, ports, problems, read
from transfer import postman
from transfer.commands import app
from transfer.settings import Settings, read_policy
from transfer.temporal import TASK_QUEUE

ROOT = Path(__file__).resolve().parent.parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE, EXAMPLE = KUBERNETES / "base", KUBERNETES / "overlays" / "example"
VERSIONS = KUBERNETES / "overlays" / "versions"
COMPONENTS = KUBERNETES / "components"

OURS = {
    str(field.validation_alias or f"TRANSFER_{name.upper()}"): field
    for name, field in Settings.model_fields.items()
}
"""Every setting, by its variable."""
SECRET = {name for name, field in OURS.items() if "SecretStr" in str(field.annotation)}
TEMPORALS = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY"}
"""Of those that Temporal's own library reads, the ones that are used here."""
TIME_TO_STOP = {
    "worker": worker_program.GRACE.total_seconds() + postman.LAST_ROUND.total_seconds(),
    "gateway": gateway_program.GRACE_SECONDS,
    "codec": codec_program.GRACE_SECONDS,
}
"""How many seconds each program gives itself."""


def base() -> list[Resource]:
    """What the base has, with its settings and policy as Kustomize makes them."""
    paths = [path for path in BASE.rglob("*.yaml") if path.name != "kustomization.yaml"]
    (made,) = read(BASE / "kustomization.yaml")
    listed = {BASE / name for name in made["resources"]}
    assert {path if path in listed else path.parent for path in paths} == listed
    return [
        *(each for path in sorted(paths) for each in read(path)),
        *(
            {"kind": "ConfigMap", "metadata": {"name": each["name"]}}
            for each in made["configMapGenerator"]
        ),
    ]


def one(kind: str, name: str, resources: list[Resource] | None = None) -> Resource:
    """The resource of a kind and name."""
    found = of(base() if resources is None else resources, kind)
    return next(each for each in found if each["metadata"]["name"] == name)


def compose() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml, by name."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services: dict[str, dict[str, Any]] = found["services"]
    return services


def compose_of_ours() -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: each for name, each in compose().items() if each["image"] == "customer-transfer"}


def variables(path: Path, *, commented: bool = False) -> dict[str, str]:
    """What a file of variables sets; also what it shows how to set, if asked for."""
    pattern = rf"^{'#?' if commented else ''}([A-Z_]+)=(.*)$"
    return dict(re.findall(pattern, path.read_text(), re.MULTILINE))


def commands() -> Iterator[tuple[str, list[str]]]:
    """Who runs what, in Kubernetes and by compose; the image's own command last."""
    for each in of(base(), "Deployment", "Job"):
        yield named(each), container(each)["args"]
    for name, service in compose_of_ours().items():
        if "command" in service:
            yield name, service["command"]
    run = re.search(r"^CMD \[(.*)\]$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert run
    yield "Dockerfile", re.findall(r'"([^"]+)"', run[1])


def seconds(text: str) -> float:
    """A duration as compose writes it."""
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_all_that_kubernetes_resources_name_is_there_and_fits() -> None:
    assert problems(base()) == []


def _selector(resources: list[Resource]) -> None:
    one("Deployment", "codec", resources)["spec"]["selector"]["matchLabels"] = {
        "app.kubernetes.io/part-of": "customer-transfer"
    }


def _service(resources: list[Resource]) -> None:
    one("Service", "gateway", resources)["spec"]["selector"]["app.kubernetes.io/name"] = "web"


def _budget(resources: list[Resource]) -> None:
    spec = one("PodDisruptionBudget", "worker", resources)["spec"]
    spec["selector"]["matchLabels"]["app.kubernetes.io/name"] = "workers"


def _policy(resources: list[Resource]) -> None:
    one("NetworkPolicy", "mails", resources)["spec"]["podSelector"]["matchLabels"] = {"app": "w"}


def _opened(resources: list[Resource]) -> None:
    spec = one("NetworkPolicy", "worker-metrics-from-prometheus", resources)["spec"]
    spec["ingress"][0]["ports"][0]["port"] = "http"


def _config(resources: list[Resource]) -> None:
    resources.remove(one("ConfigMap", "policy", resources))


def _account(resources: list[Resource]) -> None:
    resources.remove(one("ServiceAccount", "customer-transfer", resources))


def _probe(resources: list[Resource]) -> None:
    found = one("Deployment", "worker", resources)["spec"]["template"]["spec"]["containers"][0]
    found["livenessProbe"]["httpGet"]["port"] = "http"


def _path(resources: list[Resource]) -> None:
    path = one("Ingress", "gateway", resources)["spec"]["rules"][0]["http"]["paths"][0]
    path["backend"]["service"]["name"] = "gate"


def _image(resources: list[Resource]) -> None:
    found = one("Job", "setup", resources)["spec"]["template"]["spec"]["containers"][0]
    found["image"] = "customer-transfer:latest"


def _root(resources: list[Resource]) -> None:
    pod(one("Deployment", "gateway", resources))["securityContext"]["runAsNonRoot"] = False


def _writable(resources: list[Resource]) -> None:
    found = one("Deployment", "worker", resources)["spec"]["template"]["spec"]["containers"][0]
    found["securityContext"]["readOnlyRootFilesystem"] = False


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (_selector, "not its own pods alone"),
        (_service, "Service gateway selects nothing"),
        (_budget, "PodDisruptionBudget worker selects nothing"),
        (_policy, "NetworkPolicy mails selects nothing"),
        (_opened, "opens http, which Deployment worker has not"),
        (_config, "wants ConfigMap policy"),
        (_account, "wants ServiceAccount customer-transfer"),
        (_probe, "probed at a port"),
        (_path, "/tickets leads nowhere"),
        (_image, "another image from day to day"),
        (_root, "not root is missing"),
        (_writable, "read-only files is missing"),
    ],
)
def test_what_leads_nowhere_is_found(broken: Callable[[list[Resource]], None], said: str) -> None:
    resources = copy.deepcopy(base())
    broken(resources)
    assert any(said in problem for problem in problems(resources)), problems(resources)


def test_every_variable_is_a_setting() -> None:
    given: set[str] = set()
    for each in of(base(), "Deployment", "Job"):
        given |= {variable["name"] for variable in container(each).get("env", ())}
    for path in (BASE / "settings.env", EXAMPLE / "settings.env", EXAMPLE / "secret.env.example"):
        given |= set(variables(path, commented=True))
    for service in compose_of_ours().values():
        given |= set(service["environment"])
    assert given - set(OURS) - TEMPORALS == set()
    shown = set(variables(ROOT / ".env.example", commented=True))
    uis = {"TEMPORAL_CODEC_ENDPOINT", "TEMPORAL_CODEC_PASS_ACCESS_TOKEN"}
    assert uis <= set(compose()["temporal-ui"]["environment"])
    assert shown - set(OURS) - uis == {"POSTGRES_PASSWORD"}


def test_compose_hands_on_every_setting() -> None:
    handed = {name for each in compose_of_ours().values() for name in each["environment"]}
    assert handed - TEMPORALS == set(OURS)


def test_the_examples_settings_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    together = variables(BASE / "settings.env") | variables(EXAMPLE / "settings.env")
    for each in of(base(), "Deployment"):
        together |= {v["name"]: v["value"] for v in container(each)["env"] if "value" in v}
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    for name, value in together.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.staff_notify == ("support@panel.example",)
    mounted = container(one("Deployment", "gateway"))["volumeMounts"]
    assert str(settings.policy_file) == f"{mounted[0]['mountPath']}/policy.toml"
    for path in (BASE / "policy.toml", EXAMPLE / "policy.toml"):
        read_policy(path)


def test_secrets_are_referred_to_and_nowhere_given() -> None:
    asked: dict[str, bool] = {}
    for each in of(base(), "Deployment", "Job"):
        for variable in container(each)["env"]:
            assert variable["name"] not in SECRET or "valueFrom" in variable, variable["name"]
        for name, key, must in keys(each):
            assert name == key
            asked[key] = asked.get(key, False) or must
    assert set(asked) == SECRET | {"TEMPORAL_API_KEY"}
    shown = variables(EXAMPLE / "secret.env.example", commented=True)
    assert set(shown) == set(asked)
    assert not any(shown.values())
    for path in (BASE / "settings.env", EXAMPLE / "settings.env"):
        assert not SECRET & set(variables(path))
    kept = [path for path in KUBERNETES.rglob("*") if path.is_file()]
    assert not [path for path in kept if "kind: Secret\n" in path.read_text()]
    assert not [path for path in kept if path.name == "secret.env"]
    of_compose = variables(ROOT / ".env.example", commented=True)
    allowed = {"TRANSFER_SMTP_URL": "smtp://mail.example:25"}
    for name in (SECRET & set(of_compose)) | {"POSTGRES_PASSWORD"}:
        assert of_compose[name] == allowed.get(name, ""), name


def test_what_must_be_in_the_secret_is_what_a_program_does_not_start_without() -> None:
    must = {
        each["metadata"]["name"]: {key for _, key, needed in keys(each) if needed}
        for each in of(base(), "Deployment", "Job")
    }
    assert must == {
        "setup": {"TRANSFER_DATABASE_URL"},
        "worker": {"TRANSFER_DATABASE_URL", "TRANSFER_SMTP_URL"},
        "gateway": {"TRANSFER_DATABASE_URL", "TRANSFER_WEBHOOK_SECRET"},
        "codec": {"TRANSFER_ENCRYPTION_KEYS"},
    }


def test_each_has_more_time_to_stop_than_it_takes() -> None:
    for name, takes in TIME_TO_STOP.items():
        spec = pod(one("Deployment", name))
        before = container(one("Deployment", name)).get("lifecycle", {}).get("preStop")
        pause = float(before["exec"]["command"][1]) if before else 0
        assert spec["terminationGracePeriodSeconds"] > takes + pause, name
        assert seconds(compose()[name]["stop_grace_period"]) > takes, name


def test_what_is_run_exists() -> None:
    known = set(typer.main.get_group(app).commands)
    for who, command in commands():
        if command[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(command[2]), who
        else:
            assert command[0] == "transfer", who
            assert command[1] in known, who


def test_ports_agree() -> None:
    worker, gateway, codec = (one("Deployment", n) for n in ("worker", "gateway", "codec"))
    set_to = {
        v["name"]: v["value"]
        for each in (worker, gateway, codec)
        for v in container(each)["env"]
        if "value" in v
    }
    assert set_to == {
        "TRANSFER_HEALTH_ADDRESS": f"0.0.0.0:{ports(worker)['health']}",
        "TRANSFER_METRICS_ADDRESS": f"0.0.0.0:{ports(worker)['metrics']}",
        "TRANSFER_GATEWAY_HOST": "0.0.0.0",  # noqa: S104 - its network policy says who gets there
        "TRANSFER_GATEWAY_PORT": str(ports(gateway)["http"]),
        "TRANSFER_CODEC_HOST": "0.0.0.0",  # noqa: S104 - likewise
        "TRANSFER_CODEC_PORT": str(ports(codec)["http"]),
    }
    for name, listens, variable in (
        ("worker", "TRANSFER_HEALTH_ADDRESS", ""),
        ("gateway", "TRANSFER_GATEWAY_PORT", "8000"),
        ("codec", "TRANSFER_CODEC_PORT", "8081"),
    ):
        service = compose()[name]
        port = service["environment"][listens].rpartition(":")[2]
        assert f"127.0.0.1:{port}/" in service["healthcheck"]["test"][-1]
        assert service.get("ports", []) == ([f"127.0.0.1:{port}:{variable}"] if variable else [])


def test_the_internet_reaches_these_paths_and_no_others() -> None:
    paths = {
        each["metadata"]["name"]: {
            path["path"]: path["pathType"] for path in each["spec"]["rules"][0]["http"]["paths"]
        }
        for each in of(base(), "Ingress")
    }
    assert paths == {
        "gateway": {"/tickets": "Exact", "/rt": "Exact", "/track/": "Prefix"},
        "codec": {"/decode": "Exact", "/encode": "Exact"},
    }


def test_nothing_gets_in_or_out_but_what_is_listed() -> None:
    policies = of(base(), "NetworkPolicy")
    deny = one("NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for each in policies:
        for rule in each["spec"].get("ingress", ()):
            assert rule["from"], named(each)
            assert rule["ports"], named(each)
        for rule in each["spec"].get("egress", ()):
            assert rule["ports"], named(each)
        (kind, *others) = each["spec"]["policyTypes"]
        assert others or kind.lower() in each["spec"], named(each)


def test_workers_are_counted_by_the_queue_that_they_work_off() -> None:
    (keda,) = read(COMPONENTS / "keda" / "scaler.yaml")
    (trigger,) = keda["spec"]["triggers"]
    assert trigger["metadata"]["taskQueue"] == TASK_QUEUE
    (metric,) = read(COMPONENTS / "external-metric" / "scaler.yaml")[0]["spec"]["metrics"]
    assert metric["external"]["metric"]["selector"]["matchLabels"] == {"taskqueue": TASK_QUEUE}


def test_each_version_of_the_worker_is_the_image_of_its_build_id() -> None:
    for folder in ("old", "new"):
        (made,) = read(VERSIONS / folder / "kustomization.yaml")
        tag = made["images"][0]["newTag"]
        (patch,) = yaml.safe_load(made["patches"][0]["patch"])
        assert patch["value"] == {"name": "TRANSFER_BUILD_ID", "value": tag}
        assert made["labels"][0]["pairs"] == {"app.kubernetes.io/version": tag}
        assert made["nameSuffix"] == "-" + tag.replace(".", "-")


def test_compose_locks_down_what_is_ours_and_publishes_to_this_machine_alone() -> None:
    for name, service in compose().items():
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name
        assert service["restart"] in {"unless-stopped", "on-failure:5"}, name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        _, _, tag = service["image"].partition(":")
        assert tag not in {"latest", ""} or service["image"] == "customer-transfer", name
    for name, service in compose_of_ours().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
    assert {name for name, each in compose().items() if "profiles" in each} == {"codec", "version"}


def test_the_image_runs_as_the_user_that_kubernetes_wants() -> None:
    text = (ROOT / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (.+)$", text, re.MULTILINE)
    for each in of(base(), "Deployment", "Job"):
        spec = pod(each)["securityContext"]
        assert user == f"{spec['runAsUser']}:{spec['runAsGroup']}"
        assert labels(each)["app.kubernetes.io/part-of"] == "customer-transfer"
    froms = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(set(froms)) == 1
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", froms[0])
