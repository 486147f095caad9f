"""What `--format` names: a command's own way to print what it found, or a renderer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from bootstrapper.api import project
from bootstrapper.cli.options import Invocation
from bootstrapper.cli.output import columns, print_data
from bootstrapper.cli.plan_colours import coloured
from bootstrapper.engine.request import Request
from bootstrapper.plugin.renderer import Renderer

Found = TypeVar("Found")


def renderer(invocation: Invocation, asked: Request, what: str = "plan", besides: Iterable[str] = ()) -> Renderer:
    """Returns the renderer of the requested format, as wide as the terminal.

    Args:
        what: What it is to render, by the name of its method; one that cannot is refused.
        besides: Formats of the command's own, by name, for the hint.
    """
    name = invocation.format or "text"
    return project.renderer(asked, name, columns(), what=what, besides=besides, is_full=invocation.full)


def shown_by(
    invocation: Invocation, asked: Request, what: str, own: Mapping[str, Callable[[Found], str]]
) -> Callable[[Found], str]:
    """Returns what makes text of what the command finds: its own formats, by name, or those of renderers."""
    name = invocation.format or "text"
    return own[name] if name in own else getattr(renderer(invocation, asked, what, own), what)


def print_formatted(invocation: Invocation, text: str) -> None:
    shown = invocation.masker.mask(text)
    print_data(coloured(shown, invocation) if invocation.format in (None, "text") else shown)
