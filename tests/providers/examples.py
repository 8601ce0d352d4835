"""The files that the page "add a provider in half an hour" shows, read from the page itself."""

import re
from functools import cache
from pathlib import Path

import yaml

from service.oauth.description import Description

PAGE = Path(__file__).parents[2] / "docs" / "add-a-provider.md"


@cache
def examples() -> dict[str, str]:
    """The text of each file, by its name."""
    return dict(re.findall(r"<!-- example:(\S+) -->\n```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))


def example_of(name: str) -> Description:
    """An example that says everything itself."""
    return Description.model_validate(yaml.safe_load(examples()[name]))


def write_examples(folder: Path) -> Path:
    """Writes them into a folder of their own."""
    folder.mkdir(exist_ok=True)
    for name, text in examples().items():
        (folder / name).write_text(text, "utf-8")
    return folder
