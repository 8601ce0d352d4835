"""The lifecycle's picture for readers: the console's, without numbers. In a page it stands for the Mermaid diagram."""

from html import escape

from service.picture.lifecycle import FRAME, HEIGHT, WIDTH, Arrow, Kind, Node, drawn, nodes
from statemachine.diagram import mermaid

_KINDS: dict[Kind, str] = {
    "way": "the way round",
    "repair": "a short cut",
    "back": "back, nothing changed",
    "off": "in and out",
}


def is_the_lifecycle(diagram: str) -> bool:
    """Whether a Mermaid diagram is the one that the table makes."""
    return diagram.strip() == mermaid()


def picture() -> str:
    """The figure as HTML. What leads from where to where, and on what, is told to whoever doesn't see it."""
    tips = "".join(
        f'<marker id="tip-{kind}" class="{kind}" viewBox="0 0 10 10" refX="7.5" refY="5" markerWidth="14"'
        ' markerHeight="14" orient="auto" markerUnits="userSpaceOnUse"><path d="M.6 1.2 9 5 .6 8.8 2.6 5z"/></marker>'
        for kind in _KINDS
    )
    frame = _rect("frame", FRAME.left, FRAME.top, FRAME.width, FRAME.height, 22)
    parts = [frame, *map(_arrow, drawn()), *map(_node, nodes())]
    key = "".join(f'<span class="{kind}"><i></i>{words}</span> ' for kind, words in _KINDS.items())
    said = f"The lifecycle: {'; '.join(_said(arrow) for arrow in drawn())}."
    return (
        '<figure class="lifecycle"><div class="drawn" tabindex="0" role="group" aria-label="The lifecycle">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}"><defs>{tips}</defs>'
        f"{''.join(parts)}</svg></div><figcaption>{key}</figcaption></figure>\n"
    )


def _said(arrow: Arrow) -> str:
    return f"{arrow.words} on {', '.join(trigger.value.replace('_', ' ') for trigger in arrow.triggers)}"


def _arrow(arrow: Arrow) -> str:
    title = f"<title>{escape(_said(arrow))}</title>"
    return (
        f'<g class="arrow {arrow.kind}">{title}<path d="{arrow.curve.path}" marker-end="url(#tip-{arrow.kind})"/></g>'
    )


def _node(node: Node) -> str:
    box, title = node.box, f"<title>{escape(node.sentence)}</title>"
    if box.width < 100:  # where a connector comes from
        name = f'<text x="{box.x}" y="{box.y + 26}" text-anchor="middle">{escape(node.name)}</text>'
        return f'<g class="node">{title}<circle cx="{box.x}" cy="{box.y}" r="7"/>{name}</g>'
    rect = _rect("box", box.left, box.top, box.width, box.height, 14)
    name = f'<text x="{box.x}" y="{box.y + 6}" text-anchor="middle">{escape(node.name)}</text>'
    return f'<g class="node {node.state.value}">{title}{rect}{name}</g>'


def _rect(name: str, left: float, top: float, width: float, height: float, round_: int) -> str:
    return f'<rect class="{name}" x="{left}" y="{top}" width="{width}" height="{height}" rx="{round_}"/>'
