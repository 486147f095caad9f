"""Makes the tables and the picture of docs/benchmarks.md from figures.json; the text between them is written by hand.

python benchmarks/page.py    (needs matplotlib)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FuncFormatter, NullFormatter

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.arrivals import WAYS
from benchmarks.figures import FILE, Figure, read
from benchmarks.migrations import AGAIN, FIRST
from benchmarks.tools import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "benchmarks.svg"
OURS = "#1f6feb"
PEERS = ["#d1242f", "#bf8700", "#57606a", "#1a7f37", "#8250df", "#953800", "#0a7ea4"]
_PART = re.compile(r"(<!-- figures: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    about, figures = read(FILE)
    PAGE.write_text(_PART.sub(lambda part: f"{part[1]}\n{_part(part[2], about, figures)}\n{part[3]}", PAGE.read_text()))
    draw(figures)


def _part(name: str, about: Mapping[str, str], figures: Sequence[Figure]) -> str:
    if name == "versions":
        return "| | |\n|---|---|\n" + "".join(f"| {key} | {value} |\n" for key, value in about.items())
    topic, _, work = name.partition(", ")
    return table([one for one in figures if one.topic == topic and one.work == work])


def table(figures: Sequence[Figure]) -> str:
    """A row a tool, a column a size: the median, and its ratio to the yardstick."""
    sizes = sorted({one.size for one in figures})
    head = "| | " + " | ".join(f"{size:,}" for size in sizes) + " |\n|---|" + "---:|" * len(sizes) + "\n"
    found = {(one.tool, one.size): one for one in figures}
    tools = dict.fromkeys(one.tool for one in figures)
    lines = (f"| {tool} | " + " | ".join(_cell(found.get((tool, size))) for size in sizes) + " |\n" for tool in tools)
    return head + "".join(lines)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    spread = f" ({figure.spread})".replace("-", "\N{NON-BREAKING HYPHEN}") if figure.spread else ""
    return f"**{figure.ratio:.2f}** {figure.median:.2f} s{spread}"


def draw(figures: Iterable[Figure]) -> None:
    """Four panels, on logarithmic scales; text stays text."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bootstrapper", "font.size": 9})
    mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=PEERS)
    picture = Picture(figsize=(10, 10))
    picture.subplots_adjust(left=0.07, right=0.98, top=0.97, bottom=0.09, wspace=0.16, hspace=0.48)
    panels = picture.subplots(2, 2).flat
    everything = list(figures)
    for axes, (title, topic, works) in zip(
        panels,
        (
            ("Nothing to do", "revisions", (AGAIN,)),
            ("First apply", "revisions", (FIRST,)),
            ("Rows from a CSV file", "rows", ("first load", "unchanged")),
            ("Nothing to do, all at once: the last one is done", "replicas", (AGAIN,)),
        ),
        strict=True,
    ):
        _panel(axes, title, topic, [one for one in everything if one.topic == topic and one.work in works])
    picture.savefig(PICTURE, metadata={"Date": None})


def _panel(axes: Axes, title: str, topic: str, figures: Sequence[Figure]) -> None:
    lines = dict.fromkeys((one.tool, one.work) for one in figures)
    is_of_one_work = len({work for _, work in lines}) == 1
    for tool, work in lines:
        points = sorted((one.size, one.median) for one in figures if (one.tool, one.work) == (tool, work))
        axes.plot(
            *zip(*points, strict=True),
            label=tool if is_of_one_work else f"{tool}: {work}",
            color=OURS if _is_ours(tool) else None,
            linestyle="--" if tool.endswith("no quick look") or tool == "ordinary run" or work == "unchanged" else "-",
            linewidth=2.2 if _is_ours(tool) else 1,
            marker="o",
            markersize=3,
        )
    axes.set(title=title, xlabel=topic, ylabel="seconds", xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.9g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)


def _is_ours(tool: str) -> bool:
    return tool.startswith("bootstrapper") or tool in WAYS


if __name__ == "__main__":
    main()
