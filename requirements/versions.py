"""Tries the lowest, or the newest, versions that pyproject.toml allows, in a virtual environment of their own.

`python requirements/versions.py lowest|newest [PYTEST ARGUMENTS]`. What the service and the demo run with is resolved
so; the tools of the tests are as new as they come. It tells which versions differ from the pins, and runs the tests.
"""

import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
"""`lowest-direct`: of what pyproject.toml names, not of what that needs in turn, whose bounds are others' business."""
SLICE = ["tests/unit", "tests/contract", "tests/integration/test_api.py", "tests/integration/test_consumers.py"]
"""Every room once, HTTP, PostgreSQL and Kafka included."""
CLIENT = ["-m", "pytest", "--noconftest", "-q", "tests/unit/test_client_calls.py"]


def environment(folder: Path) -> Path:
    """A fresh virtual environment; its interpreter."""
    venv.create(folder, clear=True, with_pip=True)
    return folder / "bin" / "python"


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True)


def try_versions(which: str, arguments: list[str]) -> None:
    """Raises CalledProcessError where they don't install or a test fails."""
    folder = ROOT / "build" / which
    resolver = environment(folder / "resolver")
    run(resolver, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements/resolve.txt")
    uv, resolution = [resolver, "-m", "uv", "--quiet"], ["--resolution", RESOLUTIONS[which]]
    pins, python = folder / "pins.txt", environment(folder / "venv")
    extras = ["--extra", "demo", "--extra", "otel", "--python-version", "3.11", "--no-header", "--no-annotate"]
    run(*uv, "pip", "compile", *resolution, *extras, "--output-file", pins, "pyproject.toml")
    print("\n".join(differing(pins)) or "as pinned", flush=True)
    wheels = ["--only-binary", ":all:", "--no-binary", "regrant", "--constraint", pins]
    run(*uv, "pip", "install", "--python", python, *wheels, "--editable", ".[demo,otel,dev]")
    run(*uv, "pip", "install", "--python", python, "--requirement", "requirements/build.txt")  # tests build wheels
    run(python, "-m", "pytest", "-q", *(arguments or SLICE))
    alone = environment(folder / "client")
    run(*uv, "pip", "install", "--python", alone, *resolution, "clients/python[kafka]")
    run(*uv, "pip", "install", "--python", alone, "pytest", "pytest-asyncio", "pytest-xdist", "--constraint", pins)
    run(alone, *CLIENT)


def differing(pins: Path) -> list[str]:
    """A line for each version that isn't the pinned one."""
    here, pinned = versions(pins), versions(ROOT / "requirements" / "test.txt")
    return [
        f"{name} {here[name]} (pinned: {pinned[name]})" for name in here if pinned.get(name, "") not in (here[name], "")
    ]


def versions(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", file.read_text(), re.MULTILINE))


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in RESOLUTIONS:
        print(__doc__)
        return 2
    try:
        try_versions(arguments[0], arguments[1:])
    except subprocess.CalledProcessError as failed:
        return failed.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
