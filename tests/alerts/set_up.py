"""Prometheus's own `promtool`, which judges and runs alert rules: the environment's, the system's, or Debian's package.

Of the package only the one program is taken, into the user's cache folder: nothing is installed, no service is started.
Two processes that do so at once don't disturb each other.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VARIABLE = "REGRANT_TEST_PROMTOOL"


def promtool() -> Path:
    """Where it is; fetches it the first time."""
    if found := os.environ.get(VARIABLE) or shutil.which("promtool"):
        return Path(found)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regrant"
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / "promtool"
    with (cache / "promtool.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _fetch(program)
    return program


def _fetch(program: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise SystemExit(f"no promtool to be had: set {VARIABLE} to the path of one")
    print("fetches Debian's prometheus (20 MB, once) for its promtool", flush=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        if os.geteuid() == 0:
            subprocess.run(["apt-get", "-qq", "update"], check=True)
        download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "prometheus"]
        subprocess.run(download, cwd=folder, check=True)
        (package,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg", "-x", package, "unpacked"], cwd=folder, check=True)
        (Path(folder) / "unpacked" / "usr" / "bin" / "promtool").rename(program)


if __name__ == "__main__":
    print(f"the tests' promtool: {promtool()}")
