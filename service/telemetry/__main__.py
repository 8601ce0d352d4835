"""`python -m service.telemetry [--check]`: writes what is made here, or says with exit code 1 what is stale.

That is `docs/metrics.md`, from the table of metrics, and the chart's dashboard.
"""

import sys
from pathlib import Path

from service.telemetry import dashboard, document


def made() -> dict[Path, str]:
    """The files as they should be."""
    return {document.PAGE: document.page(), dashboard.FILE: dashboard.dashboard()}


def main(arguments: list[str]) -> int:
    stale = {path: text for path, text in made().items() if not path.exists() or path.read_text() != text}
    if arguments == ["--check"]:
        for path in stale:
            sys.stderr.write(f"{path} is stale: run `python -m service.telemetry`\n")
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
