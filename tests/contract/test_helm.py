"""The chart, rendered by Helm's own engine: what it makes is sound, restricted, and starts with settings that hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from service.settings import Settings, load
from service.settings.chart import VALUES_SCHEMA, with_config
from service.settings.variables import variables

CHART = Path(__file__).parents[2] / "helm" / "regrant"
CI = sorted((CHART / "ci").glob("*.yaml"))
DEFAULTS = CHART / "values.yaml"

Document = dict[str, Any]  # Any: YAML


def values_of(file: Path) -> Document:
    return {} if file == DEFAULTS else dict(yaml.safe_load(file.read_text()))


def rendered(values: Document) -> list[Document]:
    """Every document that the chart makes of these values, in a release named `live`."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(values, name="live", namespace="data")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def pods(documents: list[Document]) -> Iterator[Document]:
    for document in documents:
        if document["kind"] == "Pod":
            yield document["spec"]
        elif "template" in document.get("spec", {}):
            yield document["spec"]["template"]["spec"]


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    return [document for document in documents if document["kind"] == kind]


every_values_file = pytest.mark.parametrize("file", [DEFAULTS, *CI], ids=lambda file: file.stem)


@every_values_file
def test_every_document_has_a_kind_a_name_and_the_chart_s_labels(file: Path) -> None:
    documents = rendered(values_of(file))
    for document in documents:
        assert document["apiVersion"] and document["kind"]
        assert document["metadata"]["name"].startswith("live-regrant")
        assert document["metadata"]["labels"]["app.kubernetes.io/instance"] == "live"
    named = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(named) == len(set(named))
    assert {"Deployment", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget", "Pod"} <= {
        k for k, _ in named
    }


@every_values_file
def test_every_pod_keeps_to_the_restricted_profile(file: Path) -> None:
    # Kubernetes, Pod Security Standards, "Restricted", and conventions of ours beyond it.
    found = list(pods(rendered(values_of(file))))
    assert len(found) >= 3
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        allowed = {"configMap", "emptyDir", "projected", "secret"}
        assert all(volume.keys() - {"name"} <= allowed for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@every_values_file
def test_no_secret_stands_in_what_is_rendered(file: Path) -> None:
    documents = rendered(values_of(file))
    assert not of_kind(documents, "Secret")
    secret = {v.name for v in variables() if v.secret}
    for pod in pods(documents):
        for container in pod["containers"]:
            assert all(variable.keys() == {"name", "value"} for variable in container["env"])
            assert not secret & {variable["name"] for variable in container["env"]}


@every_values_file
def test_every_pod_starts_with_settings_that_hold(file: Path, tmp_path: Path) -> None:
    documents = rendered(values_of(file))
    for number, pod in enumerate(pods(documents)):
        for container in pod["containers"]:
            settings = started(pod, container, documents, tmp_path / f"{number}-{container['name']}")
            assert settings.http.host == "0.0.0.0"  # the container's own address
            assert settings.database.dsn.reveal() == "what database/dsn holds"
            ports = [port["containerPort"] for port in container.get("ports", [])]
            assert ports in ([], [settings.http.port])
    if file.stem == "full-values":
        assert settings.kafka.password and settings.kafka.password.reveal() == "what kafka/password holds"
        provider = settings.providers["quickbooks-online"]
        assert provider.client_secret.reveal() == "what providers/quickbooks-online holds"
        assert settings.shards == 16


def started(pod: Document, container: Document, documents: list[Document], root: Path) -> Settings:
    """The settings as the container's process reads them, its mounts being laid out below `root`."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        lay_out(volumes[mount["name"]], documents, root / mount["mountPath"].lstrip("/"))
    environ = {}
    for variable in container["env"]:
        is_path = variable["value"].startswith("/")
        environ[variable["name"]] = str(root) + variable["value"] if is_path else variable["value"]
    return load(environ)


def lay_out(volume: Document, documents: list[Document], folder: Path) -> None:
    folder.mkdir(parents=True)
    if "configMap" in volume:
        (config,) = of_kind(documents, "ConfigMap")
        assert volume["configMap"]["name"] == config["metadata"]["name"]
        for name, text in config["data"].items():
            (folder / name).write_text(text)
    for source in volume.get("projected", {}).get("sources", []):
        for item in source["secret"]["items"]:
            (folder / item["path"]).parent.mkdir(exist_ok=True)
            (folder / item["path"]).write_text(f"what {item['path']} holds")


def test_selectors_select_the_pods_that_they_mean() -> None:
    documents = rendered({})
    deployments = of_kind(documents, "Deployment")
    labels = {d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d in deployments}

    def selected(by: Document) -> list[str]:
        return [name for name, having in labels.items() if by.items() <= having.items()]

    (service,) = of_kind(documents, "Service")
    assert selected(service["spec"]["selector"]) == ["live-regrant-api"]
    for document in deployments + of_kind(documents, "PodDisruptionBudget"):
        assert selected(document["spec"]["selector"]["matchLabels"]) == [document["metadata"]["name"]]


def test_a_new_configuration_rolls_the_pods() -> None:
    def checksum(values: Document) -> str:
        (api, _) = of_kind(rendered(values), "Deployment")
        return str(api["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) != checksum({"config": {"shards": 16}})


def test_migrations_can_be_left_to_somebody_else() -> None:
    assert len(of_kind(rendered({}), "Job")) == 1
    assert not of_kind(rendered(values_of(CHART / "ci" / "external-migrations-values.yaml")), "Job")


@pytest.mark.parametrize(
    "values",
    [
        {"config": {"database": {"dsn": "postgresql://u:p@db/x"}}},
        {"config": {"kafka": {"password": "hunter2"}}},
        {"config": {"providers": {"xero": {"client_secret": "s"}}}},
        {"config": {"kafka": {"bootstrp": []}}},
        {"secrets": {"database": {"dsn": "postgresql://u:p@db/x"}}},
        {"secrets": {"database": {"existingSecret": ""}}},
        {"secrets": {"kafka": {"existingSecret": "Not A Name"}}},
        {"worker": {"replicas": "two"}},
        {"replicas": 3},
    ],
    ids=str,
)
def test_a_wrong_value_or_a_secret_s_value_is_refused(values: Document) -> None:
    with pytest.raises(helm_python.HelmError, match=r"schema|validation"):
        rendered(values)


@every_values_file
def test_lint_finds_nothing(file: Path) -> None:
    findings = helm_python.lint(CHART, values=values_of(file), strict=True)
    # An icon is for galleries of charts.
    assert [m for m in findings["messages"] if "icon is recommended" not in str(m)] == []


def test_the_schema_of_the_settings_is_made_from_the_model() -> None:
    text = VALUES_SCHEMA.read_text()
    assert text == with_config(text), "stale: run `python -m service.settings`"
