"""The tables in the chart's README, made from `values.yaml` with its comments, and from the examples' first lines."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

CHART = Path(__file__).parents[2] / "helm" / "regrant"
README = CHART / "README.md"


def with_tables(readme: str) -> str:
    """The README with its tables as they should be."""
    text = (CHART / "values.yaml").read_text()
    rows = [f"| `{key}` | {what} | {f'`{default}`' if default else ''} |" for key, what, default in _values(text)]
    readme = _between(readme, "values", ["| value | what it is | default |", "| --- | --- | --- |", *rows])
    examples = [f"| [{path.stem.removesuffix('-values')}](ci/{path.name}) | {_said(path)} |" for path in _examples()]
    return _between(readme, "examples", ["| example | what |", "| --- | --- |", *examples])


def _between(text: str, name: str, lines: list[str]) -> str:
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, _, rest = text.partition(begin)
    return before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]


def _examples() -> list[Path]:
    return sorted((CHART / "ci").glob("*-values.yaml"))


def _said(path: Path) -> str:
    return _comment(path.read_text().splitlines(), len(re.findall(r"\A(?:#.*\n)+", path.read_text())[0].splitlines()))


def _values(text: str) -> Iterator[tuple[str, str, str]]:
    """Key, comment and default of each value; of a section only where a comment says something of it."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    yield from _of_mapping(root, text, "")


def _of_mapping(node: yaml.MappingNode, text: str, above: str) -> Iterator[tuple[str, str, str]]:
    lines = text.splitlines()
    for key, value in node.value:
        name, said = above + key.value, _comment(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            if said:
                yield name, said, ""
            yield from _of_mapping(value, text, f"{name}.")
        else:
            written = text[value.start_mark.index : value.end_mark.index]
            yield name, said, _flow(value) if "\n" in written else written


def _flow(node: yaml.Node) -> str:
    """A block as one line."""
    plain = yaml.SafeLoader("")
    return yaml.safe_dump(plain.construct_object(node, deep=True), default_flow_style=True, width=10_000).strip()


def _comment(lines: list[str], line: int) -> str:
    """The comment right above a line, as one."""
    said: list[str] = []
    while line and (found := re.match(r" *# ?(.*)", lines[line - 1])):
        said.insert(0, found[1])
        line -= 1
    return " ".join(said).replace("|", "\\|")
