"""`docs/settings.md`, made from the model: every setting with what it is for, its default and an example."""

from pathlib import Path

from service.settings.variables import FILE, Variable, variables

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

_GENERAL = "general"
_COLUMNS = "| variable | what it is | default | example |\n| --- | --- | --- | --- |"
_HEAD = """\
# Settings

Made from `service/settings/model.py` by `python -m service.settings`; don't edit it here.

- A setting is an environment variable, or a key of the file that `REGRANT_CONFIG` or `--config` names (YAML, or TOML
  where its name ends so): `REGRANT_KAFKA__BOOTSTRAP` is `bootstrap` below `kafka`. A variable goes before the file.
- A secret can be read from a file: `REGRANT_DATABASE__DSN_FILE=/etc/regrant/dsn`, or `dsn_file` below `database`.
- A list in a variable is separated by commas. A duration is ISO 8601 (`PT15M`) or a number of seconds.
- `<PROVIDER>` is a provider's id in capitals with `_` for `-`: `QUICKBOOKS_ONLINE`. `<WEBHOOK>` and
  `<ADAPTER>` are names of yours.
- A variable that begins with `REGRANT_` and is no setting ends the start. A Kubernetes Service named `regrant` makes
  such variables: set `enableServiceLinks: false`, as the chart does.
- `regrant settings` prints what is set, without secrets.
"""


def settings_table() -> str:
    """The settings as Markdown, one table a section."""
    parts = []
    sections = dict.fromkeys([_GENERAL, *(_section(variable) for variable in variables())])
    for section in sections:
        rows = "\n".join(_row(variable) for variable in variables() if _section(variable) == section)
        parts.append(
            f"## {section}\n\n| variable | what it is | default | example |\n| --- | --- | --- | --- |\n{rows}\n"
        )
    return "\n".join(parts)


def page() -> str:
    """The whole page."""
    return f"{_HEAD}\n{settings_table()}"


def _section(variable: Variable) -> str:
    return variable.path[0] if len(variable.path) > 1 else _GENERAL


def _row(variable: Variable) -> str:
    name = f"`{variable.name}`" + (f"<br>or `{variable.name}{FILE.upper()}`" if variable.secret else "")
    default = "**required**" if variable.required else _code(variable.default)
    example = "" if variable.example == variable.default else _code(variable.example)
    return f"| {name} | {variable.sentence} *{variable.kind}* | {default} | {example} |"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
