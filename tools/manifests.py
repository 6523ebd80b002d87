"""What schemas cannot say of Kubernetes' resources: whether all they name is there, and fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

WORKLOADS = ("Deployment", "Job")
RESERVED = "registry.example/"
"""Whose images exist nowhere."""


def read(path: Path) -> list[Resource]:
    """The resources in a file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def problems(resources: Sequence[Resource]) -> list[str]:
    """Everything that leads nowhere, or lets in or out what must not be; none if all is well."""
    return [
        *_selectors(resources),
        *_references(resources),
        *_ingresses(resources),
        *_scaled(resources),
        *(problem for each in of(resources, *WORKLOADS) for problem in _locked_down(each)),
    ]


def of(resources: Iterable[Resource], *kinds: str) -> list[Resource]:
    """Those of some kinds."""
    return [each for each in resources if each["kind"] in kinds]


def named(resource: Resource) -> str:
    """A resource's kind and name, for people."""
    return f"{resource['kind']} {resource['metadata']['name']}"


def pod(workload: Resource) -> dict[str, Any]:
    """How a workload's pods are."""
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def labels(workload: Resource) -> dict[str, str]:
    """The labels of a workload's pods."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def container(workload: Resource) -> dict[str, Any]:
    """The one container of a workload's pods."""
    (found,) = pod(workload)["containers"]
    return dict(found)


def ports(workload: Resource) -> dict[str, int]:
    """The ports of a workload's container, by name."""
    return {port["name"]: port["containerPort"] for port in container(workload).get("ports", ())}


def selected(selector: Resource, workloads: Iterable[Resource]) -> list[Resource]:
    """The workloads whose pods a selector selects; an empty one selects all."""

    def fits(found: dict[str, str]) -> bool:
        exact: dict[str, str] = selector.get("matchLabels", {})
        among: list[Resource] = selector.get("matchExpressions", [])
        if unknown := [each for each in among if each["operator"] != "In"]:
            raise ValueError(f"operators other than In: {unknown}")
        return exact.items() <= found.items() and all(
            found.get(each["key"]) in each["values"] for each in among
        )

    return [each for each in workloads if fits(labels(each))]


def keys(workload: Resource) -> Iterator[tuple[str, str, bool]]:
    """Every key of a Secret that a workload asks for: its variable, the key, whether it must be."""
    for variable in container(workload).get("env", ()):
        if asked := variable.get("valueFrom", {}).get("secretKeyRef"):
            yield variable["name"], asked["key"], not asked.get("optional", False)


def _selectors(resources: Sequence[Resource]) -> Iterator[str]:
    workloads = of(resources, *WORKLOADS)
    for each in of(resources, "Deployment"):
        chosen = selected(each["spec"]["selector"], workloads)
        if [named(one) for one in chosen] != [named(each)]:
            yield f"{named(each)} selects {[named(one) for one in chosen]}, not its own pods alone"
        for spread in pod(each).get("topologySpreadConstraints", ()):
            if each not in selected(spread["labelSelector"], workloads):
                yield f"{named(each)} spreads pods that are not its own"
    for each in of(resources, "PodDisruptionBudget", "NetworkPolicy", "Service"):
        chosen, wanted = _chosen(each, workloads)
        if not chosen:
            yield f"{named(each)} selects nothing"
        for one in chosen:
            for port in wanted - set(ports(one)):
                yield f"{named(each)} opens {port}, which {named(one)} has not"


def _chosen(
    resource: Resource, workloads: Sequence[Resource]
) -> tuple[list[Resource], set[str | int]]:
    """Whose pods a resource is about, and the ports of theirs that it names."""
    spec = resource["spec"]
    if resource["kind"] == "Service":
        return (
            selected({"matchLabels": spec["selector"]}, workloads),
            {port["targetPort"] for port in spec["ports"]},
        )
    if resource["kind"] == "NetworkPolicy":
        opened = {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
        return selected(spec["podSelector"], workloads), opened
    return selected(spec["selector"], workloads), set()


def _references(resources: Sequence[Resource]) -> Iterator[str]:
    known = {(each["kind"], each["metadata"]["name"]) for each in resources}
    for each in of(resources, *WORKLOADS):
        spec, one = pod(each), container(each)
        wanted = [("ServiceAccount", spec["serviceAccountName"])]
        wanted += [("ConfigMap", source["configMapRef"]["name"]) for source in one["envFrom"]]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        wanted += [
            ("ConfigMap", volume["configMap"]["name"])
            for volume in volumes.values()
            if "configMap" in volume
        ]
        for kind, name in wanted:
            if (kind, name) not in known:
                yield f"{named(each)} wants {kind} {name}, which is not there"
        mounted = {mount["name"] for mount in one["volumeMounts"]}
        if mounted != set(volumes):
            yield f"{named(each)} has volumes {sorted(volumes)} and mounts {sorted(mounted)}"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in one and one[probe]["httpGet"]["port"] not in ports(each):
                yield f"{named(each)} is probed at a port that it has not"


def _ingresses(resources: Sequence[Resource]) -> Iterator[str]:
    services = {each["metadata"]["name"]: each for each in of(resources, "Service")}
    for each in of(resources, "Ingress"):
        for rule in each["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                to = path["backend"]["service"]
                offered = services.get(to["name"], {}).get("spec", {}).get("ports", [])
                if to["port"]["name"] not in [port["name"] for port in offered]:
                    yield f"{named(each)}: {path['path']} leads nowhere"


def _scaled(resources: Sequence[Resource]) -> Iterator[str]:
    deployed = {each["metadata"]["name"]: each for each in of(resources, "Deployment")}
    for each in of(resources, "ScaledObject", "HorizontalPodAutoscaler"):
        target = deployed.get(each["spec"]["scaleTargetRef"]["name"])
        if target is None:
            yield f"{named(each)} scales nothing"
        elif "replicas" in target["spec"]:
            yield f"{named(each)} and {named(target)} both say how many there are"


def _locked_down(workload: Resource) -> Iterator[str]:
    spec, one = pod(workload), container(workload)
    right = {
        "no token": spec["automountServiceAccountToken"] is False,
        "not root": spec["securityContext"]["runAsNonRoot"] is True,
        "the image's user": spec["securityContext"]["runAsUser"] == 10001,
        "seccomp": spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"},
        "no escalation": one["securityContext"]["allowPrivilegeEscalation"] is False,
        "read-only files": one["securityContext"]["readOnlyRootFilesystem"] is True,
        "no capability": one["securityContext"]["capabilities"] == {"drop": ["ALL"]},
        "a limit of memory": "memory" in one["resources"]["limits"],
        "requests": {"cpu", "memory"} <= set(one["resources"]["requests"]),
    }
    yield from (
        f"{named(workload)}: {what} is missing" for what, is_so in right.items() if not is_so
    )
    image = one["image"]
    if image.endswith(":latest") or (":" not in image and image != "customer-transfer"):
        yield f"{named(workload)}: {image} is another image from day to day"
    if "/" in image and not image.startswith(RESERVED):
        yield f"{named(workload)}: {image} is somebody's own"
