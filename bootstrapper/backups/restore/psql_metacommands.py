"""Rejects scripts with meta-commands of psql, which read files and start programs on this machine.

A psql that knows \\restrict rejects them itself. For an older one the script is parsed as psql does, and rejected if it
contains a meta-command or is ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from bootstrapper.errors import BackupError
from bootstrapper.postgres.server.clienttools import ClientTools

_RESTRICTED_SINCE = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
_NEWER = 18

# One line as pg_dump writes it. Only after exactly this, psql certainly reads data.
_NAME = rb'([a-z_][a-z0-9_$]*|"([^"\\]|"")+")'
_COPY = re.compile(rb"COPY %(n)s(\.%(n)s)? (\(%(n)s(, %(n)s)*\) )?FROM stdin;\r?\n" % {b"n": _NAME})
_CLIENT_STREAMS = (b"stdin", b"stdout")  # the grammar accepts both after FROM and after TO
_DATA_ENDS = (b"\\.\n", b"\\.\r\n", b"\\.")
_ENCODING = re.compile(rb"SET client_encoding = '(\w+)';\r?\n")
# In these a byte that looks like a quote or a backslash may be part of a character.
_UNSAFE_ENCODINGS = frozenset({b"BIG5", b"GBK", b"GB18030", b"JOHAB", b"SJIS", b"SHIFT_JIS_2004", b"UHC"})
_TOKEN = re.compile(
    rb"(?P<escaped>[eE]')|(?P<quote>['\"])|(?P<dollar>\$([A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$)"
    rb"|(?P<line>--)|(?P<comment>/\*)|(?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)"
    rb"|(?P<number>\$?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?(?![A-Za-z0-9_$\x80-\xff]))|(?P<doubt>[0-9$])|(?P<mark>[\\();])"
)
_LINE_END = re.compile(rb"[\r\n]")
_COMMENT = re.compile(rb"/\*|\*/")
_ESCAPED_BODY = re.compile(rb"(?:[^'\\]+|''|\\.)*", re.DOTALL)


def are_restricted_by(psql: ClientTools) -> bool:
    """Returns whether this psql knows \\restrict, which came with the minor releases of August 2025."""
    major, minor = psql.version
    return major >= _NEWER or minor >= _RESTRICTED_SINCE.get(major, minor + 1)


def require_none(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Passes the script on; raises BackupError before the first line with a meta-command."""
    scanner = _Scanner()
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            scanner.feed(line + b"\n")
        yield b"".join(line + b"\n" for line in lines)
    scanner.feed(rest)
    yield rest


class _Scanner:
    """Parses a script as psql does, as far as needed to tell where a backslash is a meta-command.

    `_read` handles the next bytes: it takes a line and a position, and returns the position after what it consumed.
    """

    def __init__(self) -> None:
        self._read: Callable[[bytes, int], int] = self._code
        self._number = 0
        self._end = b""  # the closing quote
        self._depth = 0  # of nested comments
        self._begin()

    def _begin(self) -> None:
        """Resets the state at the beginning of a statement."""
        self._words = 0
        self._is_create = self._is_copy = False
        self._parentheses = self._blocks = 0

    def feed(self, line: bytes) -> None:
        self._number += 1
        if b"\0" in line:  # psql ends the line there
            raise self._refusal("contains a zero byte")
        if self._read != self._data and b"client_encoding" in line.lower():
            encoding = _ENCODING.fullmatch(line)
            if encoding is None or encoding[1].upper() in _UNSAFE_ENCODINGS:
                raise self._refusal("is ambiguous")
        position = 0
        while position < len(line):
            position = self._read(line, position)

    def _code(self, line: bytes, position: int) -> int:
        if position == 0 and not self._words and _COPY.fullmatch(line):
            self._read = self._data
            return len(line)
        found = _TOKEN.search(line, position)
        if found is None:
            return len(line)
        self._take(found)
        return found.end()

    def _take(self, found: re.Match[bytes]) -> None:
        token = found[0]
        match found.lastgroup:
            case "escaped":
                self._read = self._escaped
            case "quote" | "dollar":
                self._read, self._end = self._quoted, token
            case "comment":
                self._read, self._depth = self._comment, 1
                return
            case "line":
                self._read = self._rest
                return
            case "word":
                self._take_word(token.lower())
            case "doubt":
                raise self._refusal("is ambiguous")
            case "mark":
                self._take_mark(token)
                return
        self._words += 1

    def _take_word(self, word: bytes) -> None:
        """Raises BackupError for a COPY in another form than pg_dump's, after which psql reads data as well.

        Semicolons in a function's body between BEGIN and END do not end the statement.
        """
        if word == b"copy":
            self._is_copy = True
        elif self._is_copy and word in _CLIENT_STREAMS:
            raise self._refusal("contains a COPY that pg_dump does not write")
        if word == b"create":
            self._is_create = True
        elif not self._is_create or self._parentheses:
            return
        elif word == b"begin" or (word == b"case" and self._blocks):
            self._blocks += 1
        elif word == b"end" and self._blocks:
            self._blocks -= 1

    def _take_mark(self, mark: bytes) -> None:
        if mark == b"\\":
            raise self._refusal("contains a meta-command of psql")
        if mark == b"(":
            self._parentheses += 1
        elif mark == b")":
            self._parentheses -= bool(self._parentheses)
        elif not self._parentheses and not self._blocks:
            self._begin()
            return
        self._words += 1

    def _rest(self, line: bytes, position: int) -> int:
        """Skips a line comment, which psql also ends at a carriage return."""
        found = _LINE_END.search(line, position)
        self._read = self._code
        return len(line) if found is None else found.end()

    def _data(self, line: bytes, _: int) -> int:
        if line in _DATA_ENDS:
            self._read = self._code
        return len(line)

    def _quoted(self, line: bytes, position: int) -> int:
        """Raises BackupError for a backslash before a quote: whether it escapes depends on the server's settings."""
        end = line.find(self._end, position)
        if end < 0:
            return len(line)
        before = line[position:end]
        if self._end == b"'" and (len(before) - len(before.rstrip(b"\\"))) % 2:
            raise self._refusal("is ambiguous")
        self._read = self._code  # a doubled quote begins the next part
        return end + len(self._end)

    def _escaped(self, line: bytes, position: int) -> int:
        body = _ESCAPED_BODY.match(line, position)
        assert body is not None
        if body.end() == len(line):
            return len(line)
        self._read = self._code
        return body.end() + 1

    def _comment(self, line: bytes, position: int) -> int:
        found = _COMMENT.search(line, position)
        if found is None:
            return len(line)
        self._depth += 1 if found[0] == b"/*" else -1
        if not self._depth:
            self._read = self._code
        return found.end()

    def _refusal(self, why: str) -> BackupError:
        return BackupError(
            f"line {self._number} of the dump {why}: it could start programs on this machine",
            hint="Restore only dumps that you trust, with psql 13.22, 14.19, 15.14, 16.10, 17.6 or newer, which "
            "rejects only meta-commands.",
        )
