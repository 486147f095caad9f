"""Keeps a script from giving orders to psql: a backslash command reads files and starts programs here, not there.

A psql that knows \\restrict refuses them itself. For an older one the script is read beforehand, statement by statement
as psql reads it, and refused where it holds such a command or could be read in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from bootstrapper.errors import BackupError
from bootstrapper.postgres.server.clienttools import ClientTools

_RESTRICTED_SINCE = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
_NEWER = 18

# One line, as pg_dump writes it. Only where all of it is known, psql certainly reads data behind it.
_NAME = rb'([a-z_][a-z0-9_$]*|"([^"\\]|"")+")'
_COPY = re.compile(rb"COPY %(n)s(\.%(n)s)? (\(%(n)s(, %(n)s)*\) )?FROM stdin;\r?\n" % {b"n": _NAME})
_CLIENT_STREAMS = (b"stdin", b"stdout")  # the grammar takes either one behind FROM and behind TO
_DATA_ENDS = (b"\\.\n", b"\\.\r\n", b"\\.")
_ENCODING = re.compile(rb"SET client_encoding = '(\w+)';\r?\n")
# In these a byte that looks like a quote or a backslash may be the half of a letter.
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
    """Whether this psql knows \\restrict, a fix that came with minor releases in August 2025."""
    major, minor = psql.version
    return major >= _NEWER or minor >= _RESTRICTED_SINCE.get(major, minor + 1)


def require_none(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same text, line by line; raises BackupError before the first line that would give psql an order."""
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
    """How psql reads a script, as far as it must be known where a backslash is a command.

    `_read` is what the next bytes belong to: a line and a position in it, to the position behind what it took.
    """

    def __init__(self) -> None:
        self._read: Callable[[bytes, int], int] = self._code
        self._number = 0
        self._end = b""  # of what is quoted
        self._depth = 0  # of comments
        self._begin()

    def _begin(self) -> None:
        """At the beginning of a statement."""
        self._words = 0
        self._is_create = self._is_copy = False
        self._parentheses = self._blocks = 0

    def feed(self, line: bytes) -> None:
        self._number += 1
        if b"\0" in line:  # where psql takes the line to end
            raise self._refusal("holds a zero byte")
        if self._read != self._data and b"client_encoding" in line.lower():
            encoding = _ENCODING.fullmatch(line)
            if encoding is None or encoding[1].upper() in _UNSAFE_ENCODINGS:
                raise self._refusal("can be read in two ways")
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
                raise self._refusal("can be read in two ways")
            case "mark":
                self._take_mark(token)
                return
        self._words += 1

    def _take_word(self, word: bytes) -> None:
        """Raises BackupError for a COPY in another form than pg_dump's, since psql reads data behind it as well.

        A function's body between BEGIN and END holds semicolons that end no statement.
        """
        if word == b"copy":
            self._is_copy = True
        elif self._is_copy and word in _CLIENT_STREAMS:
            raise self._refusal("holds a COPY that pg_dump does not write")
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
            raise self._refusal("holds a command of psql")
        if mark == b"(":
            self._parentheses += 1
        elif mark == b")":
            self._parentheses -= bool(self._parentheses)
        elif not self._parentheses and not self._blocks:
            self._begin()
            return
        self._words += 1

    def _rest(self, line: bytes, position: int) -> int:
        """A comment that psql ends at a carriage return as well."""
        found = _LINE_END.search(line, position)
        self._read = self._code
        return len(line) if found is None else found.end()

    def _data(self, line: bytes, _: int) -> int:
        if line in _DATA_ENDS:
            self._read = self._code
        return len(line)

    def _quoted(self, line: bytes, position: int) -> int:
        """Whether a backslash escapes a quote hangs on the server's settings: then it is read in two ways."""
        end = line.find(self._end, position)
        if end < 0:
            return len(line)
        before = line[position:end]
        if self._end == b"'" and (len(before) - len(before.rstrip(b"\\"))) % 2:
            raise self._refusal("can be read in two ways")
        self._read = self._code  # two quotes in a row begin it again
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
            f"line {self._number} of the dump {why}, which could start programs on this machine",
            hint="Use a psql of 13.22, 14.19, 15.14, 16.10, 17.6 or newer, which refuses just such commands, and "
            "restore only dumps that you trust.",
        )
