"""Pins the requirements: every version and every hash, and no word about where they come from. Arguments name sets."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SETS = {"build": ["requirements/build.in"], "demo": ["--extra", "demo", "pyproject.toml"]}
SETS["bench"] = ["--extra", "demo", "--extra", "bench", "pyproject.toml"]
# What resolves the lowest and the newest versions, apart from all else.
SETS["resolve"] = ["requirements/resolve.in"]
SETS["test"] = ["--extra", "demo", "--extra", "otel", "--extra", "dev", "pyproject.toml"]
# What an image runs: nothing that the tests didn't run with.
SETS["run"] = ["--extra", "otel", "--constraint", "requirements/test.txt", "pyproject.toml"]
OPTIONS = ["--generate-hashes", "--allow-unsafe", "--strip-extras", "--quiet", "--no-header", "--no-annotate"]
SILENT = ["--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links"]


def main(names: list[str]) -> None:
    for name, source in ((name, SETS[name]) for name in names or SETS):
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
    main(sys.argv[1:])
