"""A screen as a picture: drawn here from its values, so that nobody's own screen is ever taken. SVG, pure."""

import textwrap
from collections.abc import Iterator
from xml.sax.saxutils import escape

from service.insight.scrub import scrubbed_text
from service.web.screen import Screen

WIDTH, MARGIN, LINE = 480, 32, 22
_TEXT_AT = 58
"""In how many characters a line is full; of the larger title, two thirds."""
_MARKS = {"done": "✓", "now": "…", "failed": "✗", "waiting": "○"}
_COLOURS = {"done": "#1a7f4b", "now": "#8a5a00", "failed": "#b3261e", "waiting": "#5f6470"}
_TONES = {"calm": "#3b5bdb", "busy": "#8a5a00", "good": "#1a7f4b", "attention": "#b3261e"}


def picture(screen: Screen, direction: str) -> str:
    """An image of the screen: its title, words, steps with their status, buttons, and support code; no secret."""
    right = direction == "rtl"
    parts = list(_Drawing(right).parts(screen))
    height = parts.pop()
    label = escape(scrubbed_text(screen.title), {'"': "&quot;"})
    frame = (
        f'<rect x="8" y="8" width="{WIDTH - 16}" height="{int(height) - 16}" rx="16" fill="#ffffff" stroke="#d5d8e0"/>'
        f'<rect x="8" y="8" width="{WIDTH - 16}" height="6" rx="3" fill="{_TONES[screen.tone]}"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{label}" font-family="system-ui, sans-serif">{frame}{"".join(parts)}</svg>'
    )


class _Drawing:
    """Puts one thing under the other; the last part is the height."""

    def __init__(self, right: bool) -> None:
        self._y = 52
        self._x = WIDTH - MARGIN if right else MARGIN
        # Text begins where its direction begins: that is what "start" means.
        self._direction = ' direction="rtl"' if right else ""

    def parts(self, screen: Screen) -> Iterator[str]:
        yield from self._lines(screen.title, 20, "#14171f", "bold")
        for words in (*screen.words, *([screen.next] if screen.next else [])):
            yield from self._lines(words, 15, "#3a3f4b")
            self._y += 6
        for line in screen.lines:
            yield from self._lines(f"{_MARKS[line.status]} {line.label}", 15, _COLOURS[line.status])
        for action in (screen.primary, screen.secondary, *screen.others):
            if action is not None:
                yield from self._lines(f"[ {action.label} ]", 15, "#3b5bdb")
        if screen.support_code:
            yield from self._lines(screen.support_code, 13, "#5f6470")
        yield str(self._y + 8)

    def _lines(self, text: str, size: int, colour: str, weight: str = "normal") -> Iterator[str]:
        for line in textwrap.wrap(scrubbed_text(text), _TEXT_AT * 15 // size - size // 2):
            yield (
                f'<text x="{self._x}" y="{self._y}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
                f"{self._direction}>{escape(line)}</text>"
            )
            self._y += LINE + (6 if size > 15 else 0)
        self._y += 4
