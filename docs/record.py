"""Records the terminal during `plan`, `apply` and a second `apply` of the sample file, as docs/terminal.svg.

Runs the real program in a pseudo-terminal on a copy of the sample, on an embedded server of its own, and draws the
last state of each screen. Needs pyte; run it from anywhere:

    python docs/record.py
"""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ

import pyte
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

ROOT = Path(__file__).parents[1]
SAMPLE = ("bootstrap.yaml", "config", "migrations", "plugins", "pyproject.toml")
COMMANDS = ("plan -e development", "apply -e development", "apply -e development")
COLUMNS, LINES = 92, 200
LONGEST_SECONDS = 180
PROMPT = "$ "

# rich's own template loads a font from the web; a picture in a repository should not load anything.
TEMPLATE = """\
<svg class="{unique_id}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> int:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "terminal.svg"
    with tempfile.TemporaryDirectory(prefix="mnfst-rag-") as folder:
        copy_sample(Path(folder))
        try:
            screens = [(command, record(command, Path(folder))) for command in COMMANDS]
        finally:
            run("dev stop -e development", Path(folder))
    draw(screens, out)
    return 0


def copy_sample(folder: Path) -> None:
    for name in SAMPLE:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name)


def program(command: str) -> list[str]:
    return [sys.executable, "-m", "bootstrapper", *command.split()]


def environment() -> dict[str, str]:
    """Returns the environment without variables that would change the picture: database, terminal, build server."""
    left_out = {"DATABASE_URL", "DIRECT_URL", "CI", "NO_COLOR", "COLUMNS", "LINES"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": path, "PYTHONUTF8": "1"}


def run(command: str, folder: Path) -> None:
    subprocess.run(program(command), cwd=folder, env=environment(), check=True, capture_output=True)


def record(command: str, folder: Path) -> pyte.Screen:
    """Returns the screen after the command has ended with exit code 0."""
    master, slave = pty.openpty()
    ioctl(slave, TIOCSWINSZ, pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        program(command), cwd=folder, env=environment(), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    try:
        for data in output(master):
            stream.feed(data)
        code = process.wait(LONGEST_SECONDS)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(LONGEST_SECONDS)
        os.close(master)
    if code != 0:
        sys.exit(f"bootstrapper {command} ended with {code}:\n" + "\n".join(filter(str.strip, screen.display)))
    return screen


def output(master: int) -> Iterator[bytes]:
    """Yields the output of the program until it ends."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 1.0)
        if not ready:
            continue
        try:
            data = os.read(master, 65536)
        except OSError:  # Linux returns EIO if the other end is closed
            return
        if not data:
            return
        yield data


def draw(screens: list[tuple[str, pyte.Screen]], out: Path) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for number, (command, screen) in enumerate(screens):
        if number:
            console.print()
        console.print(Text(f"{PROMPT}bootstrapper {command}", style="bold"))
        for shown in lines(screen):
            console.print(shown)
    svg = console.export_svg(title="bootstrapper", code_format=TEMPLATE, unique_id="terminal")
    remaining = [url for url in re.findall(r"https?://[^\s\"')]+", svg) if url != "http://www.w3.org/2000/svg"]
    if remaining:
        sys.exit(f"the picture would load {', '.join(remaining)}")
    out.write_text(svg, encoding="utf-8")


def lines(screen: pyte.Screen) -> list[Text]:
    """Returns all lines up to the last one that is not blank."""
    shown = [line(screen, number) for number in range(screen.lines)]
    while shown and not shown[-1].plain.strip():
        shown.pop()
    return shown


def line(screen: pyte.Screen, number: int) -> Text:
    text = Text(no_wrap=True)
    characters = [screen.buffer[number][column] for column in range(screen.columns)]
    for drawn, run_of_characters in itertools.groupby(characters, style):
        text.append("".join(character.data for character in run_of_characters), drawn)
    text.rstrip()
    return text


def style(character: pyte.screens.Char) -> Style:
    return Style(
        color=colour(character.fg),
        bgcolor=colour(character.bg),
        bold=character.bold,
        italic=character.italics,
        underline=character.underscore,
        reverse=character.reverse,
    )


def colour(name: str) -> Color | None:
    """Returns rich's colour: pyte has its own names for 16 colours, and six digits for all others."""
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return Color.parse(f"#{name}")
    bright = name.startswith("bright")
    plain = name.removeprefix("bright").replace("brown", "yellow")
    return Color.parse(f"bright_{plain}" if bright else plain)


if __name__ == "__main__":
    sys.exit(main())
