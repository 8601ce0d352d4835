"""`python -m tests.kubernetes.schemas`: packs Kubernetes' own schemas, and those of the CRDs, from their Go modules.

Needs Go, for its module cache. What is packed lies beside this file: `kubernetes-1.37.json.gz` has the definitions
that the kinds below need, without descriptions; `crds.json.gz` the CustomResourceDefinitions, as a cluster takes them.
"""

import gzip
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
VERSIONS = ("1.36.3", "1.37.2")
KINDS = {
    "ConfigMap",
    "CronJob",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "NetworkPolicy",
    "Pod",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
}
CRDS = {
    "github.com/external-secrets/external-secrets@v1.3.2": [
        "config/crds/bases/external-secrets.io_externalsecrets.yaml"
    ],
    "github.com/kedacore/keda/v2@v2.21.0": [
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
    ],
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
    "sigs.k8s.io/gateway-api@v1.6.1": ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
}

Json = dict[str, Any]  # Any: what JSON can hold


def main() -> None:
    for version in VERSIONS:
        minor = version.rpartition(".")[0]
        swagger = json.loads((module(f"k8s.io/kubernetes@v{version}") / "api/openapi-spec/swagger.json").read_text())
        write(HERE / f"kubernetes-{minor}.json.gz", needed(swagger["definitions"]))
    crds = [yaml.safe_load((module(name) / path).read_text()) for name, paths in CRDS.items() for path in paths]
    write(HERE / "crds.json.gz", [undescribed(crd) for crd in crds])


def module(name: str) -> Path:
    """Where Go keeps a module's files."""
    told = subprocess.run(["go", "mod", "download", "-json", name], check=True, capture_output=True, cwd=HERE)
    return Path(json.loads(told.stdout)["Dir"])


def write(path: Path, content: object) -> None:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def needed(definitions: Json) -> Json:
    """The definitions of our kinds, and of everything that they refer to."""
    waiting = [name for name, schema in definitions.items() for kind in _kinds(schema) if kind in KINDS]
    found: Json = {}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = undescribed(definitions[name])
            waiting += [ref.removeprefix("#/definitions/") for ref in _refs(found[name])]
    return found


def _kinds(schema: Json) -> Iterator[str]:
    for of in schema.get("x-kubernetes-group-version-kind", []):
        if "alpha" not in of["version"] and "beta" not in of["version"]:
            yield of["kind"]


def _refs(of: Any) -> Iterator[str]:  # Any: JSON
    if isinstance(of, dict):
        if isinstance(of.get("$ref"), str):
            yield of["$ref"]
        for below in of.values():
            yield from _refs(below)
    elif isinstance(of, list):
        for below in of:
            yield from _refs(below)


def undescribed(of: Any) -> Any:  # Any: JSON
    """Without `description`, where it is a text about a schema and no property of that name."""
    if isinstance(of, dict):
        return {k: undescribed(v) for k, v in of.items() if k != "description" or not isinstance(v, str)}
    return [undescribed(below) for below in of] if isinstance(of, list) else of


if __name__ == "__main__":
    main()
