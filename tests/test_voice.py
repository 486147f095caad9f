"""Messages, docstrings, comments, pages and names of tests keep to plain words; docs and code speak with one voice."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[1]
WORDS = {
    r"can not\b": "cannot",
    r"(?<!there )\b(?:is|are|was|were|be) no (?!longer|more\b|less|later|earlier|other)\w": "is not a ...",
    r"\b(?:nobody|somebody|anybody|everybody|whoever|whomever)\b": "name who or what it is",
    r"\bthere is nothing that\b": "say what is missing",
    r"\bfor good\b": "permanently, not retryable",
    r"\bworth another try\b": "retryable",
    r"\bthe time for it is over\b": "deadline exceeded",
    r"\b(?:the|a|one) \w+ that there is\b": "existing",
    r"\b(?:anew)\b": "again",
    r"\bhas gone\b": "is gone",
}
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in ("build", "dist") for part in path.relative_to(ROOT).parts)
)
CODE = [*sorted((ROOT / "bootstrapper").rglob("*.py")), *sorted((ROOT / "plugins").rglob("*.py"))]
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the strings and comments of a module with their lines."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the names of the tests of a module as sentences, and the docstrings and comments."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name.replace("_", " ")
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def found_in(where: Path, line: int, text: str) -> Iterator[str]:
    plain = re.sub(r"\s+", " ", text) if text != "nobody" else ""  # the user of that name
    for pattern, better in WORDS.items():
        for match in re.finditer(pattern, plain, re.IGNORECASE):
            around = plain[max(match.start() - 30, 0) : match.end() + 30]
            yield f"{where.relative_to(ROOT)}:{line}: ...{around}... (better: {better})"


@pytest.mark.parametrize(
    "texts_of", [pytest.param((CODE, texts), id="package"), pytest.param((TESTS, names), id="tests")]
)
def test_the_code_speaks_plainly(texts_of: tuple[list[Path], object]) -> None:
    files, read = texts_of
    assert [said for path in files for line, text in read(path) for said in found_in(path, line, text)] == []  # type: ignore[operator]


def test_the_pages_speak_plainly() -> None:
    said = [each for page in PAGES for each in found_in(page, 1, page.read_text(encoding="utf-8"))]
    assert said == []
