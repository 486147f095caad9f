"""What was measured, as it is printed, kept as JSON and drawn."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.tools import Run

FILE = Path(__file__).with_name("figures.json")


@dataclass(frozen=True)
class Figure:
    """One tool at one work of one size.

    Attributes:
        topic: What grows: `revisions`, `rows` or `replicas`; or `backups`.
        size: How many of them there were.
        seconds: One a round, of the whole process.
        cpu_seconds: The processor time of all processes of the tool, one a round.
        ratio: Of the medians of `seconds`, to the yardstick of the same run.
        cpu_ratio: Of the medians of `cpu_seconds`.
        mebibytes: What all its processes held: of migrations together at most, by proportional shares, else the sum of
            their peaks; 0 if it was not weighed.
    """

    topic: str
    size: int
    work: str
    tool: str
    seconds: Sequence[float]
    cpu_seconds: Sequence[float]
    ratio: float
    cpu_ratio: float
    mebibytes: float = 0.0

    @classmethod
    def of(
        cls,
        topic: str,
        size: int,
        work: str,
        tool: str,
        *,
        runs: Sequence[Run],
        yardstick: Sequence[Run],
        mebibytes: float,
    ) -> Figure:
        seconds, cpu_seconds = [run.seconds for run in runs], [run.cpu_seconds for run in runs]
        ratio = statistics.median(seconds) / statistics.median(run.seconds for run in yardstick)
        cpu_ratio = statistics.median(cpu_seconds) / statistics.median(run.cpu_seconds for run in yardstick)
        return cls(topic, size, work, tool, seconds, cpu_seconds, ratio, cpu_ratio, mebibytes)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        """The fastest and the slowest round."""
        return f"{min(self.seconds):.2f}-{max(self.seconds):.2f}" if len(self.seconds) > 1 else ""


def write(file: Path, about: dict[str, str], figures: Iterable[Figure]) -> None:
    document = {"about": about, "figures": [asdict(figure) for figure in figures]}
    file.write_text(json.dumps(document, indent=1) + "\n")


def read(file: Path) -> tuple[dict[str, str], list[Figure]]:
    if not file.exists():
        return {}, []
    document = json.loads(file.read_text())
    return document["about"], [Figure(**figure) for figure in document["figures"]]
