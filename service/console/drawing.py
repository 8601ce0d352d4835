"""The picture with numbers: how many connectors are where, how often each arrow is gone; or the path of one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from schemas.lifecycle import State
from service.console.words import number, share
from service.picture.curves import Box, Point
from service.picture.lifecycle import FRAME, HEIGHT, WIDTH, Arrow, Kind, Node, Pair, drawn, nodes, width

_NODES, _ARROWS = nodes(), drawn()


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A state, as the template draws it."""

    state: str
    name: str
    sentence: str
    box: Box
    href: str
    said: str
    count: str = ""
    share: str = ""
    some: bool = False
    here: bool = False
    walked: bool | None = None
    """Whether the path came through here; `None` where no path is shown."""

    @property
    def small(self) -> bool:
        return self.state == State.ABSENT.value


@dataclass(frozen=True, slots=True)
class DrawnArrow:
    """An arrow, as the template draws it."""

    id: str
    kind: Kind
    path: str
    label: Point
    href: str
    said: str
    title: str
    text: str = ""
    width: float = 1.6
    moves: bool = False
    walked: bool | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole picture."""

    label: str
    at: str
    nodes: tuple[DrawnNode, ...]
    arrows: tuple[DrawnArrow, ...]
    width: int = WIDTH
    height: int = HEIGHT
    frame: Box = FRAME

    def live(self) -> dict[str, Any]:  # Any: JSON
        """What changes in it, for the script."""
        return {
            "at": self.at,
            "nodes": {
                n.state: {"count": n.count, "share": n.share, "some": n.some, "said": n.said} for n in self.nodes
            },
            "arrows": {a.id: {"width": a.width, "text": a.text, "moves": a.moves, "said": a.said} for a in self.arrows},
        }


def of_fleet(counts: Mapping[str, int], an_hour: Mapping[Pair, float], at: str, query: Mapping[str, str]) -> Drawing:
    """How many connectors are in each state, and how often an hour each arrow is gone. Links keep the query."""
    there = sum(count for state, count in counts.items() if state not in (State.ABSENT, State.DELETED))
    drawn_nodes = tuple(_counted(node, counts.get(node.state.value, 0), there, query) for node in _NODES)
    arrows = tuple(_rated(arrow, sum(an_hour.get(pair, 0.0) for pair in arrow.pairs), query) for arrow in _ARROWS)
    return Drawing("How many connectors are in each state, and how often they change it", at, drawn_nodes, arrows)


def of_path(walked: Sequence[Pair], here: str, href: str) -> Drawing:
    """The way that one connector came, each arrow numbered by when it was gone, and where it is."""

    def said(node: Node) -> str:
        if node.state == here:
            return f"{node.name} here"
        return f"{node.name}, {'on its way' if node.state in been else 'not seen'}"

    been = {state for pair in walked for state in pair} | {State(here)}
    drawn_nodes = tuple(
        DrawnNode(
            node.state.value,
            node.name,
            node.sentence,
            node.box,
            href,
            said(node),
            count="here" if node.state == here else "",
            here=node.state == here,
            walked=node.state in been,
        )
        for node in _NODES
    )
    arrows = tuple(_walked(arrow, walked, href) for arrow in _ARROWS)
    return Drawing("The path that this connector walked", "", drawn_nodes, arrows)


def _counted(node: Node, count: int, there: int, query: Mapping[str, str]) -> DrawnNode:
    state, is_counted = node.state.value, node.state not in (State.ABSENT, State.DELETED)
    return DrawnNode(
        state,
        node.name,
        node.sentence,
        node.box,
        _list(query, state=state),
        f"{node.name} {number(count)} {share(count, there)}" if is_counted else node.name,
        count=number(count) if is_counted else "",
        share=share(count, there) if is_counted else "",
        some=count > 0,
    )


def _rated(arrow: Arrow, an_hour: float, query: Mapping[str, str]) -> DrawnArrow:
    text = f"{number(an_hour) if an_hour >= 0.05 else '< 0.1'}/h" if an_hour > 0 else ""
    said = f"{arrow.words}: {text.replace('/h', ' an hour') or 'none lately'}"
    return DrawnArrow(
        arrow.id,
        arrow.kind,
        arrow.curve.path,
        arrow.curve.label,
        _list(query, moved_from=",".join(source.value for source in arrow.sources), moved_to=arrow.to.value),
        said,
        _title(arrow),
        text,
        round(width(an_hour), 2),
        moves=an_hour > 0,
    )


def _walked(arrow: Arrow, walked: Sequence[Pair], href: str) -> DrawnArrow:
    turns = [str(n) for n, pair in enumerate(walked, 1) if pair in arrow.pairs]
    text = ", ".join(turns[-3:])
    return DrawnArrow(
        arrow.id,
        arrow.kind,
        arrow.curve.path,
        arrow.curve.label,
        href,
        f"{arrow.words}: {'step ' + text if turns else 'not gone'}",
        _title(arrow),
        text,
        3.0 if turns else 1.6,
        walked=bool(turns),
    )


def _title(arrow: Arrow) -> str:
    return f"{arrow.words}: {', '.join(trigger.value.replace('_', ' ') for trigger in arrow.triggers)}"


def _list(query: Mapping[str, str], **more: str) -> str:
    return f"/console/connectors?{urlencode({**query, **more})}"
