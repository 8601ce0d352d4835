"""A real API server with its etcd, for as long as a `with`: Kubernetes' own verdict, without nodes and controllers."""

import json
import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from service.demo.embedded.child import free_port
from tests.kubernetes import build, strict

TOKEN = "an-admin-of-this-test"
START_LIMIT_S = 120
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}

Document = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    status: int
    body: Document
    warnings: tuple[str, ...]

    @property
    def complaints(self) -> list[str]:
        """Why it wasn't taken, and what it was taken with; empty is good."""
        refused = [f"{self.status}: {self.body.get('message', self.body)}"] if self.status >= 400 else []
        return refused + list(self.warnings)


@dataclass
class Cluster:
    """A running API server."""

    url: str
    folder: Path
    _resources: dict[str, dict[str, tuple[str, bool]]] = field(default_factory=dict)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "certificates" / "apiserver.crt"))

    def call(self, method: str, path: str, body: Document | None = None, **query: str) -> Answer:
        """Any call. An object that is applied goes as a server-side apply."""
        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        request = urllib.request.Request(
            f"{self.url}{path}?{urlencode(query)}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind, "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=60) as response:
                answered, status = response, response.status
                text = response.read()
        except urllib.error.HTTPError as refused:
            answered, status = refused, refused.code
            text = refused.read()
        try:
            told = json.loads(text)
        except ValueError:
            told = {"message": text.decode(errors="replace")}
        return Answer(status, told, tuple(answered.headers.get_all("Warning") or ()))

    def apply(self, document: Document, namespace: str, *, dry_run: bool = True) -> Answer:
        """Server-side apply, strict about unknown fields; nothing is kept with `dry_run`."""
        api, kind = document["apiVersion"], document["kind"]
        group = f"/apis/{api}" if "/" in api else f"/api/{api}"
        plural, is_namespaced = self._kinds(group)[kind]
        where = f"/namespaces/{namespace}" if is_namespaced else ""
        path = f"{group}{where}/{plural}/{document['metadata']['name']}"
        query = {"fieldManager": "tests", "fieldValidation": "Strict", "force": "true"}
        return self.call("PATCH", path, document, **query, **({"dryRun": "All"} if dry_run else {}))

    def _kinds(self, group: str) -> dict[str, tuple[str, bool]]:
        if group not in self._resources:
            listed = self.call("GET", group).body["resources"]
            self._resources[group] = {r["kind"]: (r["name"], r["namespaced"]) for r in listed if "/" not in r["name"]}
        return self._resources[group]

    def install_crds(self) -> None:
        """Makes the kinds of others known, and waits until they are served."""
        for crd in strict.crds():
            answer = self.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
            assert answer.status == 201, answer.body
        for crd in strict.crds():
            group, names = crd["spec"]["group"], crd["spec"]["names"]
            for version in crd["spec"]["versions"]:
                if version["served"]:
                    path = f"/apis/{group}/{version['name']}/{names['plural']}"
                    _wait_for(lambda path=path: self.call("GET", path).status == 200, path)

    def make_namespace(self, name: str, labels: dict[str, str]) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        assert self.apply(namespace, "", dry_run=False).complaints == []

    def helm(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs real Helm against this cluster."""
        homes = {f"HELM_{kind}_HOME": str(self.folder / "helm") for kind in ("CACHE", "CONFIG", "DATA")}
        environment = {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            **homes,
        }
        return subprocess.run([build.HELM, *words], env=environment, capture_output=True, text=True, timeout=300)

    @cached_property
    def kubeconfig(self) -> Path:
        path = self.folder / "kubeconfig"
        authority = str(self.folder / "certificates" / "apiserver.crt")
        here = {"cluster": "here", "user": "admin", "namespace": "default"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": self.url, "certificate-authority": authority}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": here}],
            "current-context": "here",
        }
        path.write_text(yaml.safe_dump(config))
        return path


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """An API server and its etcd in `folder`; both are gone after."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        etcd = f"http://127.0.0.1:{free_port()}"
        children.append(_start(folder, "etcd", _etcd_flags(folder, etcd)))
        port = free_port()
        children.append(_start(folder, "kube-apiserver", _api_server_flags(folder, etcd, port)))
        cluster = Cluster(f"https://127.0.0.1:{port}", folder)

        def is_ready() -> bool:
            for child in children:
                if child.poll() is not None:
                    raise AssertionError(f"{child.args[0]} ended: {_last_words(folder)}")
            return (folder / "certificates" / "apiserver.crt").exists() and _answers(cluster)

        _wait_for(is_ready, f"the API server: {_last_words(folder)}")
        yield cluster
    finally:
        for child in reversed(children):
            child.send_signal(signal.SIGKILL)  # nothing here is worth a clean end
            child.wait()


def _answers(cluster: Cluster) -> bool:
    try:
        return cluster.call("GET", "/readyz").status == 200
    except (urllib.error.URLError, ConnectionError, ssl.SSLError):
        return False


def _etcd_flags(folder: Path, url: str) -> list[str]:
    peers = f"http://127.0.0.1:{free_port()}"
    return [
        f"--data-dir={folder / 'data'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server_flags(folder: Path, etcd: str, port: int) -> list[str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signing, checking = folder / "accounts.key", folder / "accounts.pub"
    signing.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    checking.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "tokens").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    return [
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={folder / 'tokens'}",
        "--authorization-mode=AlwaysAllow",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={signing}",
        f"--service-account-key-file={checking}",
        "--service-cluster-ip-range=10.0.0.0/24",
        # In a dry run no ServiceAccount is kept that a Pod's could be found.
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
    ]


def _start(folder: Path, name: str, flags: Sequence[str]) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen([str(build.CACHE / name), *flags], stdout=log, stderr=log, cwd=folder)


def _last_words(folder: Path) -> str:
    return "\n".join(log.read_text(errors="replace")[-1500:] for log in sorted(folder.glob("*.log")))


def _wait_for(condition: Any, what: str) -> None:  # Any: callable
    end = time.monotonic() + START_LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what}"
        time.sleep(0.05)  # another process: it can only be asked again
