"""`$file`: the text of a file, such as a mounted secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootstrapper.config.files import is_file
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.value import UNKNOWN, Value

LARGEST = 16 * 1024 * 1024  # bytes; anything larger is data for a fixture's `file`, not a value


class File(Value):
    """`$file: path`, relative to the configuration file. One newline at its end is removed."""

    key = "$file"
    pure = True

    def files(self, argument: Any) -> tuple[str, ...]:
        return (argument,) if isinstance(argument, str) else ()

    def check(self, argument: Any) -> None:
        if argument is not UNKNOWN and (not isinstance(argument, str) or not argument):
            raise ValueError("$file takes the path of a file")

    def resolve(self, context: Context, argument: Any) -> object:
        self.check(argument)
        run = run_of(context)
        path = run.project.path(argument)
        if not is_file(path):  # a pipe or a device would block or never end
            raise ValueError(f"$file: {argument} is not a file")
        try:
            content = _read(path)
        except OSError as error:
            raise ValueError(f"$file: {argument} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ValueError(f"$file: {argument} is not UTF-8 text") from None
        return content.removesuffix("\r\n") if content.endswith("\r\n") else content.removesuffix("\n")


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"$file: {path.name} is larger than {LARGEST // 1024**2} MB")
    return content.decode()
