"""Files of variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.config.document.envfile import read_variables
from bootstrapper.errors import InvalidFileError


def variables(tmp_path: Path, content: str | bytes) -> dict[str, str]:
    file = tmp_path / ".env"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_variables(file)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=x", "x"),
        ("A=", ""),
        ("A=   ", ""),
        ("A = x ", "x"),
        ("  export A=x", "x"),
        ("A=a b  c", "a b  c"),
        ("A=x # comment", "x"),
        ("A=x#y", "x#y"),
        ("A=# comment", ""),
        ("A=postgresql://u:p@h/d?a=b", "postgresql://u:p@h/d?a=b"),
        ("A='it # is ${X} \\n'  # comment", "it # is ${X} \\n"),
        ('A="a \\"b\\" # \\n\\t\\\\ \\q $X"', 'a "b" # \n\t\\ \\q $X'),
        ("A=it's", "it's"),
        ("A=''", ""),
        ("A=x\r", "x"),
    ],
)
def test_a_line_is_a_name_and_a_value(tmp_path: Path, line: str, value: str) -> None:
    assert variables(tmp_path, f"{line}\n") == {"A": value}


def test_comments_and_empty_lines_are_skipped_and_the_last_line_wins(tmp_path: Path) -> None:
    assert variables(tmp_path, "\ufeff# first\n\nA=1\n   # x=y\nB=2\nA=3") == {"A": "3", "B": "2"}


def test_every_wrong_line_is_reported_without_its_value(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError) as caught:
        variables(tmp_path, 'A=1\nhunter2\nB=\'hunter2\nC="hunter2"x\n1D=hunter2\n')
    assert [problem.source.line for problem in caught.value.problems if problem.source] == [2, 3, 4, 5]
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_utf_8_is_refused_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError) as caught:
        variables(tmp_path, b"A=1\nB=\xe9\n")
    assert str(caught.value) == f"{tmp_path / '.env'}:2:1: the file is not UTF-8"
