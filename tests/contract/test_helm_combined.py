"""The chart in all its shapes: Kubernetes' own schemas take it, it is restricted, its settings hold."""

from pathlib import Path

import pytest

from tests.contract import pairs
from tests.contract.chart import DEFAULTS, EXAMPLES, beyond_restricted, of_kind, pods, rendered, values_of
from tests.contract.started import started
from tests.kubernetes import strict

AXES: pairs.Axes = {
    "image": {
        "-": {},
        "digest": {"image": {"digest": f"sha256:{'0' * 64}"}, "imagePullSecrets": [{"name": "registry"}]},
    },
    "kafka": {
        "-": {},
        "password": {
            "config": {"kafka": {"security": "SASL_SSL", "username": "regrant", "bootstrap": ["a:9093", "b:9094"]}},
            "secrets": {"kafka": {"existingSecret": "kafka"}},
        },
        "plain password": {
            "config": {"kafka": {"security": "SASL_PLAINTEXT", "username": "0815", "mechanism": "PLAIN"}},
            "secrets": {"kafka": {"existingSecret": "kafka"}},
        },
        "certificates": {
            "config": {"kafka": {"security": "SSL", "topic_prefix": "staging."}},
            "secrets": {"kafkaTls": {"existingSecret": "tls", "certificate": "user.crt", "certificateKey": "user.key"}},
        },
    },
    "api": {"-": {}, "autoscaled": {"api": {"autoscaling": {"enabled": True}}}, "none": {"api": {"replicas": 0}}},
    "worker": {
        "-": {},
        "by lag": {"worker": {"keda": {"enabled": True}}},
        "by lag up to 3": {"worker": {"keda": {"enabled": True, "minReplicas": 1, "maxReplicas": 3}}},
    },
    "way in": {
        "-": {},
        "ingress": {"ingress": {"enabled": True}},
        "ingress with all": {
            "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls", "annotations": {"a/b": "1"}},
            "config": {"http": {"public_url": "https://a.example:8443", "trusted_proxies": ["10.0.0.0/8"]}},
        },
        "gateway": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]}},
    },
    "network": {
        "-": {},
        "closed": {"networkPolicy": {"enabled": True}},
        "closed to peers": {
            "networkPolicy": {
                "enabled": True,
                "ingressFrom": [{"podSelector": {"matchLabels": {"a": "b"}}}],
                "metricsFrom": [{"namespaceSelector": {}}],
                "database": {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
                "kafka": {"ports": [9096], "to": [{"ipBlock": {"cidr": "fd00::/8"}}]},
                "privateRanges": ["10.0.0.0/8"],
                "extraEgress": [{"ports": [{"protocol": "TCP", "port": 8200}]}],
            }
        },
    },
    "metrics": {
        "-": {},
        "scraped": {"metrics": {"serviceMonitor": {"enabled": True}}},
        "all": {
            "metrics": {
                "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
                "rules": {"enabled": True, "labels": {"release": "prometheus"}},
                "dashboards": {"enabled": True, "annotations": {"folder": "x"}},
            }
        },
    },
    "migrations and Secrets": {
        "-": {},
        "hook": {"migrations": {"as": "hook", "post": True}},
        "elsewhere": {"migrations": {"enabled": False}},
        "fetched": {
            "externalSecrets": {
                "store": {"name": "vault", "kind": "SecretStore"},
                "secrets": {"regrant-database": {"dsn": {"key": "a", "property": "b"}}},
            }
        },
    },
    "keys": {
        "-": {},
        "vault": {
            "config": {"keys": {"transit_url": "https://vault.example", "transit_token_file": "/vault/token"}},
            "secrets": {"keys": {"existingSecret": ""}},
        },
    },
    "tokens": {
        "-": {},
        "shared key": {"config": {"jwt": {"jwks_url": None}}, "secrets": {"jwt": {"existingSecret": "jwt"}}},
    },
    "providers": {
        "-": {},
        "two": {
            "config": {"providers": {"xero": {"client_id": "1"}, "quickbooks-online": {"client_id": "2"}}},
            "secrets": {
                "providers": {
                    "xero": {"existingSecret": "xero"},
                    "quickbooks-online": {"existingSecret": "intuit", "key": "secret"},
                }
            },
        },
    },
    "webhooks": {
        "-": {},
        "in and out": {
            "config": {
                "webhooks": {"my-host": {"url": "https://a.example/w"}},
                "adapters": {"airbyte": {"kind": "airbyte"}},
                "mail": {"host": "smtp.example", "username": "regrant", "sender": "us@example.com"},
            },
            "secrets": {
                "webhooks": {"my-host": {"existingSecret": "host", "keys": ["v1", "v2"]}},
                "adapters": {"airbyte": {"existingSecret": "airbyte"}},
                "mail": {"existingSecret": "mail"},
            },
        },
    },
    "names": {
        "-": {},
        "another": {"fullnameOverride": "live-regrant-two", "commonLabels": {"team": "data"}},
        "account": {"serviceAccount": {"create": False, "name": "connectors"}},
    },
    "user": {"-": {}, "the cluster's": {"runAsUser": None}, "1": {"runAsUser": 1}},
    "places": {
        "-": {},
        "anywhere": {"topologySpread": []},
        "chosen": {
            "topologySpread": [{"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}],
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "priorityClassName": "high",
        },
    },
    "drains": {"-": {}, "free": {"podDisruptionBudget": {"enabled": False}}},
    "ending": {"-": {}, "slow": {"termination": {"preStopSeconds": 60, "gracePeriodSeconds": 180}}},
    "files": {
        "-": {},
        "more": {
            "extraVolumes": [{"name": "more", "configMap": {"name": "{{ .Release.Name }}-regrant-more"}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/etc/more", "readOnly": True}],
            "extraObjects": [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "{{ .Release.Name }}-regrant-more"},
                    "data": {"a.yaml": "{}"},
                }
            ],
        },
    },
    "pods": {"-": {}, "marked": {"podAnnotations": {"a/b": "true"}, "podLabels": {"tier": "1"}}},
    "service": {"-": {}, "balanced": {"service": {"type": "LoadBalancer", "port": 443, "annotations": {"a/b": "c"}}}},
}
COMBINATIONS = pairs.combined(AXES, least=100)

every_values_file = pytest.mark.parametrize("file", [DEFAULTS, *EXAMPLES], ids=lambda file: file.stem)
every_combination = pytest.mark.parametrize("number", range(len(COMBINATIONS)))


def test_every_two_choices_meet_in_a_combination() -> None:
    names = list(AXES)
    for one in range(len(names)):
        for two in range(one + 1, len(names)):
            met = {(combination[one], combination[two]) for combination in COMBINATIONS}
            assert met == {(a, b) for a in AXES[names[one]] for b in AXES[names[two]]}
    assert len(COMBINATIONS) >= 100


@every_values_file
@pytest.mark.parametrize("minor", strict.MINORS)
def test_kubernetes_own_schemas_take_every_example(file: Path, minor: str) -> None:
    assert [fault for document in rendered(values_of(file)) for fault in strict.faults(document, minor)] == []


@every_combination
def test_whatever_is_combined_is_taken_restricted_and_starts(number: int, tmp_path: Path) -> None:
    values = pairs.values_of(AXES, COMBINATIONS[number])
    documents = rendered(values)
    for minor in strict.MINORS:
        assert [fault for document in documents for fault in strict.faults(document, minor)] == []
    assert not of_kind(documents, "Secret")
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(names) == len(set(names))
    for each, pod in enumerate(pods(documents)):
        assert beyond_restricted(pod) == []
        (container,) = pod["containers"]
        assert started(pod, container, documents, tmp_path / str(each)).http.port == 8080


def test_the_schemas_are_of_two_versions() -> None:
    assert len(strict.MINORS) == 2
    for minor in strict.MINORS:
        kinds = strict.validators(minor).keys()
        assert {"apps/v1 Deployment", "batch/v1 Job", "keda.sh/v1alpha1 ScaledObject"} <= kinds


@pytest.mark.parametrize("minor", strict.MINORS)
def test_the_schemas_find_what_kubernetes_would_not_take(minor: str) -> None:
    (_, worker) = of_kind(rendered({}), "Deployment")
    assert strict.faults(worker, minor) == []
    pod = worker["spec"]["template"]["spec"]
    pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["minutes"] = 1
    pod["containers"][0]["livenessProbe"]["periodSeconds"] = "10"
    pod["terminationGracePeriod"] = 5
    del worker["spec"]["selector"]
    assert len(strict.faults(worker, minor)) == 4
    assert strict.faults({**worker, "apiVersion": "apps/v2"}, minor) == ["there is no apps/v2 Deployment"]

    (scaled, _) = of_kind(rendered({"worker": {"keda": {"enabled": True}}}), "ScaledObject") * 2
    scaled["spec"]["triggers"][0]["metadata"]["lagThreshold"] = 5
    scaled["spec"]["maxReplicas"] = 5
    assert len(strict.faults(scaled, minor)) == 2


def test_the_profile_finds_what_restricted_forbids() -> None:
    pod = next(pods(rendered({})))
    assert beyond_restricted(pod) == []
    pod["hostNetwork"] = True
    pod["securityContext"] = {"runAsUser": 0}
    pod["volumes"].append({"name": "node", "hostPath": {"path": "/"}})
    pod["containers"][0]["securityContext"]["capabilities"] = {"drop": []}
    assert len(beyond_restricted(pod)) == 6
