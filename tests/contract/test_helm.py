"""The chart, rendered by Helm's own engine: what it makes is sound, restricted, and starts with settings that hold."""

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from typer.testing import CliRunner

from schemas import channels
from service.app import DRAIN_S
from service.cli import app
from service.kafka.clients import STOP_LIMIT_S, make_consumer
from service.settings.chart import VALUES_SCHEMA, with_config
from service.settings.chart_readme import README, with_tables
from service.settings.model import Kafka
from service.settings.variables import variables
from tests.contract.chart import CHART, DEFAULTS, EXAMPLES, Document, of_kind, pods, rendered, values_of
from tests.contract.chart import beyond_restricted as beyond
from tests.contract.started import started

every_values_file = pytest.mark.parametrize("file", [DEFAULTS, *EXAMPLES], ids=lambda file: file.stem)


def example(name: str) -> list[Document]:
    return rendered(values_of(CHART / "ci" / f"{name}-values.yaml"))


@every_values_file
def test_every_document_has_a_kind_a_name_and_the_chart_s_labels(file: Path) -> None:
    documents = rendered(values_of(file))
    for document in documents:
        assert document["apiVersion"] and document["kind"]
        assert document["metadata"]["labels"]["app.kubernetes.io/instance"] == "live"
    named = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(named) == len(set(named))
    assert {"Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "Pod"} <= {kind for kind, _ in named}
    assert file.stem == "names-values" or ("ServiceAccount", "live-regrant") in named


@every_values_file
def test_every_pod_keeps_to_the_restricted_profile(file: Path) -> None:
    found = list(pods(rendered(values_of(file))))
    assert len(found) >= 3
    for pod in found:
        assert beyond(pod) == []
        assert ("runAsUser" in pod["securityContext"]) is (file.stem != "openshift-values")


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
            assert ports in ([], [settings.http.port, settings.metrics.port])
    if file.stem == "webhooks-values":
        assert [path.name for path in settings.webhooks["host"].secret_files] == ["current", "next"]
        former = settings.adapters["fivetran"].former_secret
        assert former and former.reveal() == "what adapters/fivetran/former holds"
    if file.stem == "mail-values":
        assert settings.mail.password and settings.mail.password.reveal() == "what mail/password holds"
        assert settings.mail.ca_file and settings.mail.ca_file.read_text() == "what mail/ca.crt holds"
    if file.stem == "full-values":
        assert settings.kafka.password and settings.kafka.password.reveal() == "what kafka/password holds"
        provider = settings.providers["quickbooks-online"]
        assert provider.client_secret.reveal() == "what providers/quickbooks-online holds"
        assert settings.shards == 16


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
        {"config": {"mail": {"password": "hunter2"}}},
        {"config": {"providers": {"xero": {"client_secret": "s"}}}},
        {"config": {"kafka": {"bootstrp": []}}},
        {"secrets": {"database": {"dsn": "postgresql://u:p@db/x"}}},
        {"secrets": {"database": {"existingSecret": ""}}},
        {"secrets": {"kafka": {"existingSecret": "Not A Name"}}},
        {"extraObjects": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {}}]},
        {"externalSecrets": {"secrets": {"x": {"dsn": {"key": "a", "value": "postgresql://u:p@db/x"}}}}},
        {"extraVolumes": [{"name": "node", "hostPath": {"path": "/"}}]},
        {"image": {"digest": "latest"}},
        {"httpRoute": {"enabled": True}},
        {"worker": {"keda": {"minReplicas": 0}}},
        {"secrets": {"kafkaTls": {"existingSecret": "x", "certificate": "tls.crt"}}},
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
    findings = helm_python.lint(CHART, values=values_of(file), strict=True, kube_version="v1.37.0")
    # An icon is for galleries of charts.
    assert [m for m in findings["messages"] if "icon is recommended" not in str(m)] == []


def test_the_schema_of_the_settings_is_made_from_the_model() -> None:
    text = VALUES_SCHEMA.read_text()
    assert text == with_config(text), "stale: run `python -m service.settings`"


def test_the_readme_is_made_from_the_values_and_the_examples() -> None:
    text = README.read_text()
    assert text == with_tables(text), "stale: run `python -m service.settings`"
    assert len(EXAMPLES) >= 12
    values = set(re.findall(r"^\| `([\w.]+)` \|", text, flags=re.MULTILINE))
    leaves = set(_leaves(yaml.safe_load(DEFAULTS.read_text()), ""))
    assert {
        leaf for leaf in leaves if not any(leaf == value or leaf.startswith(f"{value}.") for value in values)
    } == set()
    assert {"api.autoscaling.targetCPU", "networkPolicy.privateRanges", "extraObjects"} <= values


def _leaves(of: Document, above: str) -> list[str]:
    below = [(f"{above}{name}", value) for name, value in of.items()]
    return [
        leaf
        for name, value in below
        for leaf in (_leaves(value, f"{name}.") if isinstance(value, dict) and value else [name])
    ]


def test_every_default_is_in_the_schema_and_the_schema_knows_nothing_else() -> None:
    values, schema = yaml.safe_load(DEFAULTS.read_text()), json.loads(VALUES_SCHEMA.read_text())
    assert schema["properties"].keys() - values.keys() == {"global"}
    open_objects = list(_open(schema["properties"], schema["$defs"], ""))
    # What is Kubernetes' own is left to Kubernetes' own schemas.
    assert {name.split(".")[0] for name in open_objects} <= {
        "affinity",
        "extraVolumes",
        "networkPolicy",
        "extraObjects",
        "config",
    }


def _open(of: Any, defs: Any, at: str) -> Any:  # Any: JSON
    """The objects of a schema that take whatever name one gives them."""
    for name, schema in of.items():
        here = f"{at}.{name}".strip(".")
        while "$ref" in schema:
            schema = defs[schema["$ref"].rpartition("/")[2]]
        if schema.get("type") == "array":
            schema = schema.get("items", {})
        if schema.get("type") == "object" and schema.get("additionalProperties", True) is True and name != "global":
            yield here
        yield from _open(schema.get("properties", {}), defs, here)


def test_r09_a_pod_has_longer_to_end_than_a_drain_may_take() -> None:
    # Requests under way, then jobs under way, then the clients of Kafka.
    drain = DRAIN_S + DRAIN_S + STOP_LIMIT_S
    for values in ({}, values_of(CHART / "ci" / "slow-load-balancer-values.yaml")):
        for deployment in of_kind(rendered(values), "Deployment"):
            assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
            pod = deployment["spec"]["template"]["spec"]
            sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert pod["terminationGracePeriodSeconds"] > sleep + drain
    with pytest.raises(helm_python.HelmError, match="50 seconds of a drain"):
        rendered({"termination": {"preStopSeconds": 30, "gracePeriodSeconds": 80}})


def test_probes_ask_what_they_should() -> None:
    for deployment in of_kind(rendered({}), "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_an_autoscaler_owns_the_number_of_what_it_scales() -> None:
    def replicas(documents: list[Document]) -> list[int | None]:
        return [deployment["spec"].get("replicas") for deployment in of_kind(documents, "Deployment")]

    assert replicas(rendered({})) == [2, 2]
    assert replicas(example("autoscaling")) == [None, 2]
    assert replicas(example("keda")) == [2, None]
    (by_cpu,) = of_kind(example("autoscaling"), "HorizontalPodAutoscaler")
    assert by_cpu["spec"]["scaleTargetRef"]["name"] == "live-regrant-api"


async def test_workers_are_scaled_by_the_lag_of_their_own_group_and_topics() -> None:
    values = values_of(CHART / "ci" / "keda-values.yaml")
    (scaled,) = of_kind(rendered(values), "ScaledObject")
    assert scaled["spec"]["scaleTargetRef"]["name"] == "live-regrant-worker"
    assert scaled["spec"]["maxReplicaCount"] == values["config"]["shards"]
    asked = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
    prefix = values["config"]["kafka"]["topic_prefix"]
    consumer = make_consumer(Kafka(bootstrap=("k:1",), topic_prefix=prefix))
    assert {one["consumerGroup"] for one in asked} == {consumer._group_id}
    assert [one["topic"] for one in asked] == [prefix + channel.topic for channel in channels.INPUTS]
    assert {one["offsetResetPolicy"] for one in asked} == {consumer._auto_offset_reset}
    assert {one["sasl"] for one in asked} == {"scram_sha256"}

    (signing_in,) = of_kind(rendered(values), "TriggerAuthentication")
    (user,) = signing_in["spec"]["env"]
    (worker,) = (d for d in of_kind(rendered(values), "Deployment") if d["metadata"]["name"] == "live-regrant-worker")
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert container["name"] == user["containerName"]
    assert {"name": user["name"], "value": "regrant"} in container["env"]
    assert {one["parameter"] for one in signing_in["spec"]["secretTargetRef"]} == {"password", "ca"}


@pytest.mark.parametrize(
    "mechanism", {"PLAIN": "plaintext", "SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}.items()
)
def test_each_sasl_mechanism_has_keda_s_word(mechanism: tuple[str, str]) -> None:
    kafka = {"security": "SASL_PLAINTEXT", "username": "u", "mechanism": mechanism[0]}
    secrets = {"kafka": {"existingSecret": "k"}}
    (scaled,) = of_kind(
        rendered({"config": {"kafka": kafka}, "secrets": secrets, "worker": {"keda": {"enabled": True}}}),
        "ScaledObject",
    )
    assert {trigger["metadata"]["sasl"] for trigger in scaled["spec"]["triggers"]} == {mechanism[1]}


def test_a_closed_network_lets_out_what_is_needed_and_to_no_private_address_but_the_servers() -> None:
    everything, api, metrics = of_kind(example("network-policy"), "NetworkPolicy")
    assert everything["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in everything["spec"]
    labels = everything["spec"]["podSelector"]["matchLabels"].items()
    assert all(labels <= pod["metadata"]["labels"].items() for pod in _templates(example("network-policy")))
    out = {rule["ports"][0]["port"]: rule.get("to") for rule in everything["spec"]["egress"]}
    assert out.keys() == {53, 6432, 9092, 443, 8443}
    four, six = (peer["ipBlock"] for peer in out[443])
    assert four["cidr"] == "0.0.0.0/0" and {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} <= set(four["except"])
    assert six["cidr"] == "::/0" and "fc00::/7" in six["except"]
    assert out[6432] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]
    for policy, namespace in ((api, "ingress-nginx"), (metrics, "monitoring")):
        ((came_from,),) = (rule["from"] for rule in policy["spec"]["ingress"])
        assert came_from["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": namespace}
    assert api["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "api"


def _templates(documents: list[Document]) -> list[Document]:
    """What pods are made from."""
    templates = [document["spec"]["template"] for document in documents if "template" in document.get("spec", {})]
    return [*templates, *of_kind(documents, "Pod")]


def test_the_kafka_ports_that_are_let_out_are_the_brokers() -> None:
    kafka = {"bootstrap": ["a.example:9093", "[::1]:9094", "b.example:9093"]}
    documents = rendered({"config": {"kafka": kafka}, "networkPolicy": {"enabled": True}})
    ports = [rule["ports"] for rule in of_kind(documents, "NetworkPolicy")[0]["spec"]["egress"]]
    assert [{"protocol": "TCP", "port": 9093}, {"protocol": "TCP", "port": 9094}] in ports


def test_the_mail_server_is_let_out_to_once_one_is_named() -> None:
    everything, *_ = of_kind(example("mail"), "NetworkPolicy")
    out = {rule["ports"][0]["port"]: rule.get("to") for rule in everything["spec"]["egress"]}
    assert out[587] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mail"}}}]


@pytest.mark.parametrize(("name", "kind"), [("ingress", "Ingress"), ("gateway-api", "HTTPRoute")])
def test_the_way_in_leads_from_the_public_address_to_the_api(name: str, kind: str) -> None:
    documents = example(name)
    (way,) = of_kind(documents, kind)
    hosts = way["spec"].get("hostnames") or [rule["host"] for rule in way["spec"]["rules"]]
    assert hosts == ["connect.example.org"]
    (service,) = of_kind(documents, "Service")
    (rule,) = way["spec"]["rules"]
    if kind == "Ingress":
        backend = rule["http"]["paths"][0]["backend"]["service"]
        assert backend == {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}
        assert way["spec"]["tls"] == [{"hosts": hosts, "secretName": "connect-tls"}]
    else:
        backend = {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}
        assert rule["backendRefs"] == [backend]


def test_prometheus_finds_both_roles_and_nothing_else() -> None:
    documents = example("monitoring")
    (monitor,) = of_kind(documents, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = (one for one in of_kind(documents, "Service") if wanted <= one["metadata"]["labels"].items())
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    selector = service["spec"]["selector"].items()
    ports = [port["name"] for pod in pods(documents) for port in pod["containers"][0].get("ports", [])]
    assert service["spec"]["ports"][0]["targetPort"] in ports
    scraped = [
        one["metadata"]["labels"] for one in _templates(documents) if selector <= one["metadata"]["labels"].items()
    ]
    assert [labels["app.kubernetes.io/component"] for labels in scraped] == ["api", "worker"]


def test_alerts_and_dashboards_come_from_their_files(tmp_path: Path) -> None:
    chart = shutil.copytree(CHART, tmp_path / "regrant", ignore=shutil.ignore_patterns("files"))
    wanted = {"metrics": {"rules": {"enabled": True}, "dashboards": {"enabled": True}}}

    def made() -> list[Document]:
        with helm_python.Chart.load(chart) as loaded:
            return list(yaml.safe_load_all(loaded.render(wanted, name="live")["regrant/templates/metrics.yaml"]))

    assert not any(made())
    (chart / "files" / "dashboards").mkdir(parents=True)
    alert = {"alert": "Stuck", "expr": "x > 1", "annotations": {"summary": "{{ $labels.state }} since {{ $value }}"}}
    rules = {"groups": [{"name": "regrant", "rules": [alert]}]}
    (chart / "files" / "alerts.yaml").write_text(f"# Why.\n{yaml.safe_dump(rules)}")
    (chart / "files" / "dashboards" / "fleet.json").write_text('{\n  "title": "Fleet {{ x }}"\n}\n')
    rule, dashboard = (document for document in made() if document)
    assert (rule["kind"], rule["spec"]) == ("PrometheusRule", rules)
    assert dashboard["metadata"]["name"] == "live-regrant-dashboard-fleet"
    assert json.loads(dashboard["data"]["fleet.json"]) == {"title": "Fleet {{ x }}"}


def test_each_external_secret_makes_a_secret_that_a_pod_mounts() -> None:
    documents = example("external-secrets")
    made = {
        one["spec"]["target"]["name"]: {d["secretKey"] for d in one["spec"]["data"]}
        for one in of_kind(documents, "ExternalSecret")
    }
    for pod in pods(documents):
        for volume in pod["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                assert {item["key"] for item in source["secret"]["items"]} <= made[source["secret"]["name"]]
            assert volume.get("secret", {}).get("secretName") in (None, *made)
    with pytest.raises(helm_python.HelmError, match=r"needs externalSecrets\.store\.name"):
        rendered({"externalSecrets": {"secrets": {"a": {"b": {"key": "c"}}}}})


def test_a_hook_migrates_before_anything_of_the_release_is_there() -> None:
    documents = example("migrations-hook")
    hooks = [
        d for d in documents if d["metadata"].get("annotations", {}).get("helm.sh/hook") == "pre-install,pre-upgrade"
    ]
    assert {(d["kind"], d["metadata"]["name"]) for d in hooks} == {
        (kind, "live-regrant-migrate") for kind in ("ServiceAccount", "ConfigMap", "Job")
    }
    (job,) = of_kind(hooks, "Job")
    (config,) = of_kind(hooks, "ConfigMap")
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "live-regrant-migrate"
    assert {"name": "live-regrant-migrate"} in [volume.get("configMap") for volume in pod["volumes"]]
    assert config["data"] in [d["data"] for d in of_kind(documents, "ConfigMap") if d not in hooks]
    with pytest.raises(helm_python.HelmError, match="use job"):
        rendered(
            {
                "migrations": {"as": "hook"},
                "externalSecrets": {"store": {"name": "v"}, "secrets": {"a": {"b": {"key": "c"}}}},
            }
        )


def test_what_waits_for_the_last_old_pod_runs_after_the_upgrade() -> None:
    jobs = {job["metadata"]["name"]: job for job in of_kind(rendered({"migrations": {"post": True}}), "Job")}
    assert jobs.keys() == {"live-regrant-migrate-1", "live-regrant-migrate-post"}
    after = jobs["live-regrant-migrate-post"]
    assert after["metadata"]["annotations"]["helm.sh/hook"] == "post-upgrade"
    assert after["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate", "--post"]


def test_every_pod_runs_words_that_the_command_has() -> None:
    wanted = {"migrations": {"post": True}}
    said = {tuple(container["args"]) for pod in pods(rendered(wanted)) for container in pod["containers"]}
    assert len(said) == 5
    for word, *options in said:
        told = CliRunner().invoke(app, [word, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert told.exit_code == 0
        assert all(option in told.output for option in options)


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]["version"]


def test_a_digest_goes_before_a_tag() -> None:
    (pod, *_) = pods(example("digest"))
    assert pod["containers"][0]["image"].startswith("registry.example.com/data/regrant@sha256:")
    (pod, *_) = pods(rendered({"image": {"tag": "7"}}))
    assert pod["containers"][0]["image"] == "regrant:7"


def test_objects_of_one_s_own_are_templates() -> None:
    documents = example("extra-objects")
    assert "live-providers" in [document["metadata"]["name"] for document in of_kind(documents, "ConfigMap")]
    for pod in pods(documents):
        assert {"name": "live-providers"} in [volume.get("configMap") for volume in pod["volumes"]]
