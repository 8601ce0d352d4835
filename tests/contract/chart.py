"""The chart as Helm's own engine renders it: documents from values, and what is asked of them."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "helm" / "regrant"
DEFAULTS = CHART / "values.yaml"
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE = "live"

Document = dict[str, Any]  # Any: YAML


def values_of(file: Path) -> Document:
    return {} if file == DEFAULTS else dict(yaml.safe_load(file.read_text()))


def rendered(values: Document) -> list[Document]:
    """Every document that the chart makes of these values, in a release named `live`. Raises `HelmError`."""
    return json.loads(_rendered(json.dumps(values)))  # a copy for each caller


@cache
def _rendered(values: str) -> str:
    files = loaded().render(json.loads(values), name=RELEASE, namespace="data")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return json.dumps([document for text in texts for document in yaml.load_all(text, _LOADER) if document])


@cache
def loaded() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def pods(documents: list[Document]) -> Iterator[Document]:
    for document in documents:
        if document["kind"] == "Pod":
            yield document["spec"]
        elif "template" in document.get("spec", {}):
            yield document["spec"]["template"]["spec"]


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    return [document for document in documents if document["kind"] == kind]


def named(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = (document for document in of_kind(documents, kind) if document["metadata"]["name"] == name)
    return found


_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def beyond_restricted(pod: Document) -> list[str]:
    """What of a pod Kubernetes' profile "restricted" forbids; and what we ask for beyond it.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    found = [f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    if pod["securityContext"].get("runAsNonRoot") is not True:
        found.append("may run as root")
    if pod["securityContext"].get("runAsUser", 1) == 0:
        found.append("runs as root")
    if pod["securityContext"].get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        found.append("has no seccomp profile")
    for volume in pod["volumes"]:
        found += [f"volume {volume['name']} is {kind}" for kind in volume.keys() - {"name"} - _VOLUMES]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        given = container["securityContext"]
        expected = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        if given != expected:
            found.append(f"{container['name']} has {given}")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append(f"{container['name']} has a port of the node")
        if (
            container["resources"]["requests"].keys() != {"cpu", "memory"}
            or "memory" not in container["resources"]["limits"]
        ):
            found.append(f"{container['name']} asks for no fixed resources")
    if pod["automountServiceAccountToken"] is not False:
        found.append("has a token of its ServiceAccount")
    if pod["enableServiceLinks"] is not False:
        found.append("has the variables of Services")
    return found
