"""Boxes, arrows and text as SVG that reads well on light and on dark pages; for docs/pictures.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

_STYLE = """
svg { --paper: #fff; --ink: #1c2130; --soft: #5a6274; --line: #8b93a5; --plain: #f1f3f8; --blue: #dfe6fb;
  --green: #dcf0e2; --amber: #fbeccb; --red: #fadcdc; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #1b1f2a; --ink: #e8ebf3; --soft: #a9b1c3; --line: #6d7690; --plain: #282d3b; --blue: #2c3a66;
    --green: #21482f; --amber: #574318; --red: #5c2a2c; } }
text { font-family: system-ui, "Noto Sans", "DejaVu Sans", sans-serif; fill: var(--ink); }
.code { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.soft { fill: var(--soft); }
.middle { text-anchor: middle; }
.line { stroke: var(--line); stroke-width: 1.5; fill: none; }
.dashed { stroke-dasharray: 5 4; }
.tip { fill: var(--line); }
"""
_CODE_WIDTH = 0.61
"""About the width of a character, in units of the size of the font."""

Place = tuple[float, float]


@dataclass
class Drawing:
    """A picture, of which each call adds a part.

    Attributes:
        title: What programs that read the page aloud say in its place.
    """

    width: int
    height: int
    title: str
    _parts: list[str] = field(default_factory=list)

    def text(self, place: Place, said: str, *, size: float = 13, kind: str = "", weight: int = 400) -> None:
        """Adds one line, with its baseline at the place; kind is `code`, `soft`, `middle` or several of them."""
        x, y = place
        style = f'font-size="{size:g}" font-weight="{weight}" class="{kind}"'
        self._parts.append(f'<text x="{x:g}" y="{y:g}" {style}>{escape(said)}</text>')

    def box(self, place: Place, width: float, height: float, colour: str = "plain") -> None:
        x, y = place
        size = f'width="{width:g}" height="{height:g}" rx="7"'
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" {size} class="line" style="fill: var(--{colour})"/>')

    def note(self, place: Place, width: float, title: str, text: str, colour: str = "plain") -> float:
        """Adds a box with a title and the lines of the text below it; returns where the box ends."""
        x, y = place
        lines = text.split("\n")
        height = 32 + 16 * len(lines)
        self.box(place, width, height, colour)
        self.text((x + 12, y + 20), title, weight=600)
        for number, line in enumerate(lines):
            self.text((x + 12, y + 38 + 16 * number), line, size=12)
        return y + height

    def arrow(self, points: list[Place], *, dashed: bool = False, tip: bool = True) -> None:
        """Adds a line through the points, with a tip at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        kinds = "line dashed" if dashed else "line"
        self._parts.append(f'<polyline points="{path}" class="{kinds}"/>')
        if tip:
            (x1, y1), (x, y) = points[-2:]
            dx, dy = (x > x1) - (x < x1), (y > y1) - (y < y1)
            wing = [(x, y), (x - 9 * dx - 5 * dy, y - 9 * dy - 5 * dx), (x - 9 * dx + 5 * dy, y - 9 * dy + 5 * dx)]
            corners = " ".join(f"{a:g},{b:g}" for a, b in wing)
            self._parts.append(f'<polygon points="{corners}" class="tip"/>')

    def svg(self) -> str:
        size = f'width="{self.width}" height="{self.height}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {self.width} {self.height}" role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<style>{_STYLE}</style>",
                f'<rect {size} rx="10" style="fill: var(--paper)"/>',
                *self._parts,
                "</svg>",
                "",
            ]
        )


def code_width(said: str, size: float = 13) -> float:
    """Returns about how wide text in the font for code is."""
    return len(said) * size * _CODE_WIDTH
