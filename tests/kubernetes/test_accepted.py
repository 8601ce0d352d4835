"""What Kubernetes itself says: a real API server takes all of the chart, real Helm installs and upgrades it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract import pairs
from tests.contract.chart import CHART, DEFAULTS, EXAMPLES, Document, of_kind, rendered, values_of
from tests.contract.test_helm_combined import AXES, COMBINATIONS
from tests.kubernetes.cluster import RESTRICTED, Cluster, running

pytestmark = pytest.mark.kube

NAMESPACE = "connectors"
every_values_file = pytest.mark.parametrize("file", [DEFAULTS, *EXAMPLES], ids=lambda file: file.stem)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as one:
        one.install_crds()
        one.make_namespace(NAMESPACE, RESTRICTED)
        for name in ("business-critical", "high"):  # which two of the values name
            priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
            assert one.apply({**priority, "value": 1000}, "", dry_run=False).complaints == []
        yield one


def complaints(cluster: Cluster, documents: list[Document]) -> list[str]:
    """What the API server says against these; also what it only warns of."""
    answers = [(document, cluster.apply(document, NAMESPACE)) for document in documents]
    return [f"{d['kind']} {d['metadata']['name']}: {said}" for d, answer in answers for said in answer.complaints]


@every_values_file
def test_the_api_server_takes_every_example_without_a_warning(file: Path, cluster: Cluster) -> None:
    assert complaints(cluster, rendered(values_of(file))) == []


def test_the_api_server_takes_every_combination_without_a_warning(cluster: Cluster) -> None:
    documents = [document for one in COMBINATIONS for document in rendered(pairs.values_of(AXES, one))]
    different = [document for number, document in enumerate(documents) if document not in documents[:number]]
    assert len(different) > 300
    assert complaints(cluster, different) == []


def test_the_namespace_enforces_what_it_says(cluster: Cluster) -> None:
    (pod,) = of_kind(rendered({}), "Pod")
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert any("violates PodSecurity" in said for said in cluster.apply(pod, NAMESPACE).complaints)
    (api, _) = of_kind(rendered({}), "Deployment")
    del api["spec"]["template"]["spec"]["securityContext"]
    answer = cluster.apply(api, NAMESPACE)
    assert answer.status < 300 and any("would violate PodSecurity" in warning for warning in answer.warnings)
    api["spec"]["template"]["spec"]["unknown"] = 1
    assert cluster.apply(api, NAMESPACE).status >= 400


@every_values_file
def test_real_helm_finds_nothing_and_would_install_every_example(file: Path, cluster: Cluster) -> None:
    values = () if file == DEFAULTS else ("--values", str(file))
    linted = cluster.helm("lint", "--strict", str(CHART), *values)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    tried = cluster.helm("install", "live", str(CHART), "--namespace", NAMESPACE, "--dry-run=server", *values)
    assert tried.returncode == 0, tried.stderr
    assert "Warning" not in tried.stderr


def test_a_release_is_upgraded_from_each_example_to_the_next(cluster: Cluster) -> None:
    namespace = "upgraded"
    cluster.make_namespace(namespace, RESTRICTED)
    for file in [DEFAULTS, *EXAMPLES, DEFAULTS]:
        values = () if file == DEFAULTS else ("--values", str(file))
        # No controller runs here that would carry a hook out.
        words = ("upgrade", "--install", "live", str(CHART), "--namespace", namespace, "--no-hooks", "--reset-values")
        done = cluster.helm(*words, *values)
        assert done.returncode == 0, f"{file.stem}: {done.stderr}"
        assert "Warning" not in done.stderr, f"{file.stem}: {done.stderr}"
    listed = cluster.call("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments").body["items"]
    assert [one["metadata"]["name"] for one in listed] == ["live-regrant-api", "live-regrant-worker"]
