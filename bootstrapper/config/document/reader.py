"""Reads YAML files safely: no bombs, pipes or binary content."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import re
import stat
from functools import partial
from pathlib import Path

import yaml

from bootstrapper.config.collector import collector_off
from bootstrapper.config.document.builder import MAX_DATA_NODES, build
from bootstrapper.config.document.json_documents import read_json
from bootstrapper.config.document.tree import Document
from bootstrapper.config.recent import Recent
from bootstrapper.errors import InvalidFileError, Problem, Source

MAX_BYTES = 16 * 1024 * 1024
MAX_DATA_BYTES = 64 * 1024 * 1024
"""Of a file of rows."""
_SMALL_BYTES = 64 * 1024
_SMALL_DOCUMENTS = Recent[tuple[bytes, str, bool], Document](most=16)

# What YAML forbids, in UTF-8: the control characters of ASCII, those of Latin-1 but NEL, and two non-characters.
# Three searches, because bytes.find speeds up the two with a fixed beginning; the first is made only if it will find
# something, which bytes.translate tells in a tenth of the time.
_CONTROLS = bytes([*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
_FORBIDDEN = (
    re.compile(b"[" + re.escape(_CONTROLS) + b"]"),
    re.compile(rb"\xc2[\x80-\x84\x86-\x9f]"),
    re.compile(rb"\xef\xbf[\xbe\xbf]"),
)
# Each directive is compared with all before it: half a million of them would take hours.
_TAG_DIRECTIVE = re.compile(rb"(?:\A|[\r\n]|\xc2\x85|\xe2\x80[\xa8\xa9])%TAG")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as YAML counts lines

_HINTS = {
    "mapping values are not allowed": "Check the indentation, or put text that holds a colon and a space in quotes.",
    "did not find expected key": "Check the indentation of this line and the one above.",
    "could not find expected ':'": "Write a colon and a space after the key.",
    "cannot start any token": "Indent with spaces, and put text that begins with @, ` or % in quotes.",
    "unexpected end of stream": "Close the quotes.",
    "did not find expected ',' or": "Close the bracket, and put ${...} in quotes inside of brackets.",
    "unexpected ':'": "Write a space after the colon, or put the text in quotes.",
}


def read(file: Path, *, any_root: bool = False) -> Document:
    """Reads a YAML file.

    Args:
        any_root: Accepts a list or a single value at the top, not only a mapping.

    Raises:
        InvalidFileError: Whatever is wrong with the file; its messages quote keys, never values.
    """
    content, name = read_bytes(file, _most_bytes(any_root)), str(file)
    if len(content) > _SMALL_BYTES:
        return parse(content, name, any_root=any_root)
    key = (hashlib.sha256(content).digest(), name, any_root)
    return _SMALL_DOCUMENTS.get(key, partial(parse, content, name, any_root=any_root))


def parse(content: bytes, name: str, *, any_root: bool = False, is_json: bool = False) -> Document:
    """Reads YAML from memory; `name` stands in messages.

    Args:
        is_json: Reads what is JSON as such, which takes a tenth of the time.
    """
    content = _utf8(content, name, _most_bytes(any_root))
    _refuse_characters(content, name)
    try:
        with collector_off():
            found: Document | None = None
            if is_json:
                found = read_json(content, name, partial(parse, name=name, any_root=True), MAX_DATA_NODES)
            return build(content, name=name, any_root=any_root) if found is None else found
    except yaml.YAMLError as error:
        raise InvalidFileError([_problem(error, content, name)]) from None  # its text can quote the file


def _most_bytes(is_data: bool) -> int:
    return MAX_DATA_BYTES if is_data else MAX_BYTES


def read_bytes(file: Path, most: int = MAX_BYTES) -> bytes:
    """Returns the content of a regular file of bounded size; never waits for a pipe or a device."""
    try:
        _refuse_kind(file, file.stat(), most)
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            _refuse_kind(file, os.fstat(descriptor), most)  # it may have been replaced in between
            content = stream.read(most + 1)
    except OSError as error:
        raise InvalidFileError([_unreadable(file, error)]) from error
    except ValueError:
        raise InvalidFileError([Problem("not a valid file name")]) from None
    if len(content) > most:
        raise _too_large(str(file), most)
    return content


def _refuse_kind(file: Path, status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a device or a socket"
        raise InvalidFileError([Problem(f"{file} is {kind}, not a file", hint="Name a YAML file.")])
    if status.st_size > most:
        raise _too_large(str(file), most)


def _too_large(name: str, most: int) -> InvalidFileError:
    hint = "Move rows to a CSV file and name it with file:."
    return InvalidFileError([Problem(f"{name} is larger than {most // 1024**2} MB", hint=hint)])


def _unreadable(file: Path, error: OSError) -> Problem:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Problem(f"file {file} does not exist", hint="Run in the folder of the file, or name it with -f.")
    return Problem(f"{file} cannot be read: {error.strerror or type(error).__name__}")


def _utf8(content: bytes, name: str, most: int) -> bytes:
    """Returns the content in UTF-8 without a byte order mark."""
    if len(content) > most:
        raise _too_large(name, most)
    encoding = "utf-8"
    if content.startswith(codecs.BOM_UTF8):
        content = content[len(codecs.BOM_UTF8) :]
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        source = _source(content[: error.start].decode(encoding, "ignore"), name)
        message = f"the file is not {encoding.upper()}"
        raise InvalidFileError([Problem(message, source, "Save it as UTF-8.")]) from None
    return content if encoding == "utf-8" else text.encode()


def _refuse_characters(content: bytes, name: str) -> None:
    has_controls = len(content.translate(None, _CONTROLS)) < len(content)
    patterns = _FORBIDDEN if has_controls else _FORBIDDEN[1:]
    found = [match.start() for pattern in patterns if (match := pattern.search(content))]
    if found:
        before = content[: min(found)].decode()
        number = ord(content[min(found) : min(found) + 4].decode(errors="ignore")[0])
        hint = 'Write it as an escape in double quotes, such as "\\e".' if number else "Save it as UTF-8 text."
        raise InvalidFileError([Problem(f"a control character U+{number:04X}", _source(before, name), hint)])
    if directive := _TAG_DIRECTIVE.search(content):
        before = content[: directive.end() - len(b"%TAG")].decode()
        raise InvalidFileError([Problem("%TAG directives are not allowed", _source(before, name))])


def _source(before: str, name: str) -> Source:
    """Returns the place right after the text."""
    end, line = 0, 1
    for found in _LINE_BREAK.finditer(before):
        end, line = found.end(), line + 1
    return Source(name, line, len(before) - end + 1)


def _problem(error: yaml.YAMLError, content: bytes, name: str) -> Problem:
    """Returns the parser's problem without what it quotes, which could be a part of a secret."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem("not valid YAML", Source(name, 1, 1))
    problem = error.problem or "not valid YAML"
    if not yaml.__with_libyaml__:  # libyaml's complaints are constants, those of the parser in Python quote
        problem = re.split("['\"]", problem, maxsplit=1)[0].rstrip()
    mark = error.problem_mark or error.context_mark
    source = Source(name, mark.line + 1, mark.column + 1) if mark else Source(name, 1, 1)
    begun = f" (in the block that starts in line {error.context_mark.line + 1})" if error.context_mark else ""
    hint = next((hint for part, hint in _HINTS.items() if part in problem), None)
    return Problem(f"{problem}{begun}", source, hint)
