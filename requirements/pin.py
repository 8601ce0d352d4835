"""Pins the requirements: every version and every hash, and no word about where they come from."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SETS = {"build": ["requirements/build.in"], "demo": ["--extra", "demo", "pyproject.toml"]}
SETS["run"] = ["--extra", "otel", "pyproject.toml"]  # what the image has
SETS["bench"] = ["--extra", "demo", "--extra", "bench", "pyproject.toml"]
SETS["test"] = ["--extra", "demo", "--extra", "otel", "--extra", "dev", "pyproject.toml"]
OPTIONS = ["--generate-hashes", "--allow-unsafe", "--strip-extras", "--quiet", "--no-header", "--no-annotate"]
SILENT = ["--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links"]


def main() -> None:
    for name, source in SETS.items():
        target = HERE / f"{name}.txt"
        command = [
            sys.executable,
            "-m",
            "piptools",
            "compile",
            *OPTIONS,
            *SILENT,
            "--output-file",
            str(target),
            *source,
        ]
        subprocess.run(command, check=True, cwd=HERE.parent)
        print(f"{target.relative_to(HERE.parent)}: {target.read_text().count('==')} pinned")


if __name__ == "__main__":
    main()
