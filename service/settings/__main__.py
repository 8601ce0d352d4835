"""`python -m service.settings [--check]`: writes what is made from the model, or says with exit code 1 what is stale.

That is `docs/settings.md`, and of the chart the part of `values.schema.json` about `config`, and its README's tables.
"""

import sys

from schemas.made import Made, run
from service.settings.chart import VALUES_SCHEMA, with_config
from service.settings.chart_readme import README, with_tables
from service.settings.document import PAGE, page


def files() -> Made:
    """The files as they should be."""
    return {
        PAGE: page(),
        VALUES_SCHEMA: with_config(VALUES_SCHEMA.read_text()),
        README: with_tables(README.read_text()),
    }


if __name__ == "__main__":
    sys.exit(run("service.settings", files(), sys.argv[1:]))
