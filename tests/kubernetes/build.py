"""`python -m tests.kubernetes.build`: builds Kubernetes' API server, etcd and Helm with Go, once for each version.

What is built, and from what, is pinned in `tests/kubernetes/binaries/go.mod` with its sums. It lands in the cache,
as Kafka's jars do, and is built again only when that file changes. About five minutes on two quiet cores.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "binaries"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regrant" / "kube"
STAMP = CACHE / "built-from"

API_SERVER = CACHE / "kube-apiserver"
ETCD = CACHE / "etcd"
HELM = CACHE / "helm"
PACKAGES = {
    API_SERVER: "k8s.io/kubernetes/cmd/kube-apiserver",
    ETCD: "go.etcd.io/etcd/server/v3",
    HELM: "helm.sh/helm/v3/cmd/helm",
}


def version_of(module: str) -> str:
    """The pinned version of a module, as `v1.37.2`."""
    found = re.search(rf"^\t{re.escape(module)} (v\S+)", (SOURCE / "go.mod").read_text(), flags=re.MULTILINE)
    assert found, f"{module} isn't pinned"
    return found[1]


def flags_of(package: str) -> str:
    """What tells a program its own version, which it doesn't know else; no debugging tables."""
    flags = ["-s", "-w"]
    if package.startswith("k8s.io/"):
        version = version_of("k8s.io/kubernetes")
        major, minor, _ = version.removeprefix("v").split(".")
        told = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        flags += [f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items()]
    if package.startswith("helm.sh/"):
        flags.append(f"-X helm.sh/helm/v3/internal/version.version={version_of('helm.sh/helm/v3')}")
    return " ".join(flags)


def build() -> None:
    """Builds what isn't there. Raises CalledProcessError."""
    wanted = hashlib.sha256((SOURCE / "go.mod").read_bytes()).hexdigest()
    is_current = STAMP.exists() and STAMP.read_text() == wanted
    CACHE.mkdir(parents=True, exist_ok=True)
    for target, package in PACKAGES.items():
        if is_current and target.exists():
            continue
        began = time.monotonic()
        print(f"builds {target.name} {version_of(package.partition('/cmd/')[0])}", flush=True)
        command = ["go", "build", "-trimpath", "-ldflags", flags_of(package), "-o", str(target), package]
        subprocess.run(
            command,
            check=True,
            cwd=SOURCE,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"},
        )
        print(f"built {target.name} in {time.monotonic() - began:.0f} s", flush=True)
    STAMP.write_text(wanted)


if __name__ == "__main__":
    if shutil.which("go") is None:
        sys.exit("Go is needed to build Kubernetes' API server, and isn't here")
    build()
