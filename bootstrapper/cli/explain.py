"""`explain`: prints what the code of an error means, and what to do."""

from __future__ import annotations

from importlib.resources import files

import click
import yaml

from bootstrapper.cli.output import print_data, wrapped
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import ExitCode, UsageError
from bootstrapper.text import did_you_mean


@dataclass(frozen=True)
class Explanation:
    """What a code means.

    Attributes:
        title: The kind of error in a few words.
        meaning: What happened, and what of it lasts.
        remedy: What to do, in imperative sentences.
        page: The page with more about it, below docs.
    """

    title: str
    meaning: str
    remedy: str
    page: str


def explanations() -> dict[str, Explanation]:
    """Returns what each code means, in their order."""
    text = files("bootstrapper.cli").joinpath("explanations.yaml").read_text(encoding="utf-8")
    return {code: Explanation(**told) for code, told in yaml.safe_load(text).items()}


@click.command()
@click.argument("code", metavar="CODE")
def explain(code: str) -> int:
    """Explain the CODE of an error, such as BOOT-701 or 701.

    Each error ends with its code; as JSON, the error has it as `code`.
    """
    known = explanations()
    name = code.strip("[]").upper()
    found = known.get(name if name.startswith("BOOT-") else f"BOOT-{name}")
    if found is None:
        raise UsageError(f"unknown code {code!r}", hint=did_you_mean(name, known))
    paragraphs = (
        found.title,
        found.meaning,
        f"What to do: {found.remedy}",
        f"Documentation: {found.page.removesuffix('.md')}",
    )
    print_data("\n\n".join("\n".join(wrapped(text.replace("`", ""))) for text in paragraphs))
    return ExitCode.DONE
