"""`python -m service.settings [--check]`: writes what is made from the model, or says with exit code 1 what is stale.

That is `docs/settings.md`, and of the chart the part of `values.schema.json` about `config`, and its README's tables.
"""

import sys
from pathlib import Path

from service.settings.chart import VALUES_SCHEMA, with_config
from service.settings.chart_readme import README, with_tables
from service.settings.document import PAGE, page


def made() -> dict[Path, str]:
    """The files as they should be."""
    return {
        PAGE: page(),
        VALUES_SCHEMA: with_config(VALUES_SCHEMA.read_text()),
        README: with_tables(README.read_text()),
    }


def main(arguments: list[str]) -> int:
    stale = {path: text for path, text in made().items() if not path.exists() or path.read_text() != text}
    if arguments == ["--check"]:
        for path in stale:
            sys.stderr.write(f"{path} is stale: run `python -m service.settings`\n")
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
