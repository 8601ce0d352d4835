"""The table as a picture and as a page: `python -m statemachine.diagram` writes them, `--check` compares.

The Mermaid diagram shows what is published; the page, `docs/lifecycle.md`, holds every row in words.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from schemas.lifecycle import Described, Outcome, Refused, State, Trigger
from schemas.made import Made, run
from schemas.reasons import CATALOGUE
from statemachine.table import CONNECTED, EXISTING, TABLE, Action, Guard, Row

_ROOT = Path(__file__).parents[1]
PAGE = _ROOT / "docs" / "lifecycle.md"
README = _ROOT / "README.md"
BEGIN, END = "<!-- lifecycle:begin -->", "<!-- lifecycle:end -->"


# The picture.


def mermaid() -> str:
    """The published transitions as a Mermaid state diagram: one arrow for each pair of states."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in TABLE:
        for source in _drawn_sources(row):
            labels = arrows.setdefault((source, _node(row.to, end=True) if row.to else source), [])
            if row.trigger.value not in labels:
                labels.append(row.trigger.value)
    inside = [f"        {state.value}" for state in CONNECTED]
    drawn = [f"    {source} --> {to}: {', '.join(labels)}" for (source, to), labels in arrows.items()]
    return "\n".join(["stateDiagram-v2", "    state connected {", *inside, "    }", *drawn])


def _drawn_sources(row: Row) -> list[str]:
    """Where a row's arrows begin. What happens alike in every state of a connected one begins at their frame."""
    if row.outcome is not Outcome.TRANSITION:
        return []
    if row.to is None and set(row.sources) == set(EXISTING):
        return []  # a loop on every state hides more than it shows: it is in the table
    if set(CONNECTED) <= set(row.sources):
        return ["connected", *(_node(source) for source in row.sources if source not in CONNECTED)]
    return [_node(source) for source in row.sources]


def _node(state: State, *, end: bool = False) -> str:
    if state is State.ABSENT or (end and state is State.DELETED):
        return "[*]"
    return state.value


# The page.


def page() -> str:
    """The whole of `docs/lifecycle.md`."""
    return "\n".join(
        [
            "<!-- Made from statemachine/table.py by `python -m statemachine.diagram`: change the table instead. -->",
            "# The lifecycle of a connector",
            "",
            "```mermaid",
            mermaid(),
            "```",
            "",
            "## States",
            "",
            *_sentences(State),
            "",
            "## Outcomes",
            "",
            *_sentences(Outcome),
            "",
            "## Triggers",
            "",
            "Of the rows that fit a state, the first whose conditions all hold is taken. There is no other case.",
            "",
            *(line for trigger in Trigger for line in _trigger(trigger)),
            "## Reasons",
            "",
            *_reasons(),
            "",
            "## Refusals",
            "",
            *_sentences(Refused),
            "",
        ]
    )


def _sentences(kind: type[Described]) -> list[str]:
    return _table(("", ""), ((f"`{member.value}`", member.sentence) for member in kind))


def _trigger(trigger: Trigger) -> list[str]:
    rows = [row for row in TABLE if row.trigger is trigger]
    header = ("from", "when", "outcome", "to", "what follows")
    told = (_row(row, rows[:n]) for n, row in enumerate(rows))
    return [f"### `{trigger.value}`", "", trigger.sentence, "", *_table(header, told), ""]


def _row(row: Row, earlier: Sequence[Row]) -> tuple[str, ...]:
    comes_first = not any(set(row.sources) & set(other.sources) for other in earlier)
    to = f"`{row.to.value}`" if row.to else "same"
    return (
        ", ".join(f"`{source.value}`" for source in row.sources),
        "; ".join(_condition(guard) for guard in row.when) or ("always" if comes_first else "otherwise"),
        row.outcome.value,
        to if row.outcome is Outcome.TRANSITION else "",
        f"`{row.why.value}`: {row.why.sentence}" if row.why else ", ".join(_words(action) for action in row.actions),
    )


def _condition(guard: Guard) -> str:
    assert guard.__doc__, f"the guard {guard.__name__} has no sentence"
    return guard.__doc__


def _words(action: Action) -> str:
    return action.__name__.replace("_", " ")


def _reasons() -> list[str]:
    words = {"provider": "the provider", "account": "the account", "admin": "administrator"}
    words |= {"expected": "the expected account", "seen": "the account that was seen"}

    def filled(text: str) -> str:
        said = text.format(**words)
        return said[0].upper() + said[1:]

    header = ("reason", "who acts", "remedy", "title", "what to do")
    rows = (
        (f"`{code.value}`", e.origin.value, e.remedy.value, filled(e.title), filled(e.next))
        for code, e in CATALOGUE.items()
    )
    return _table(header, rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


# The files.


def readme(text: str) -> str:
    """The README with the picture between its markers; as it is where it has none."""
    if BEGIN not in text or END not in text:
        return text
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n```mermaid\n{mermaid()}\n```\n{END}{after}"


def files() -> Made:
    """What the files should hold."""
    return {PAGE: page(), README: readme(_read(README))}


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(run("statemachine.diagram", files(), sys.argv[1:]))
