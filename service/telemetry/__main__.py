"""`python -m service.telemetry [--check]`: writes what is made here, or says with exit code 1 what is stale.

That is `docs/metrics.md`, from the table of metrics, and the chart's dashboard.
"""

import sys

from schemas.made import Made, run
from service.telemetry import dashboard, document


def files() -> Made:
    """The files as they should be."""
    return {document.PAGE: document.page(), dashboard.FILE: dashboard.dashboard()}


if __name__ == "__main__":
    sys.exit(run("service.telemetry", files(), sys.argv[1:]))
