"""Hooks of mkdocs: makes the pages, which are written for the repository's web view, into a site of their own.

Files outside docs that pages link to, such as examples, are copied into the site; a folder becomes a page with links to
its files. Markdown is read as code hosts do.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COPIES = "source"
"""The folder of the site with files from outside docs."""
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_FENCE = re.compile(r"^( *```\w+) .*$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    targets = set(_outside())
    for path in sorted({path for target in targets for path in _tracked(target)}):
        files.append(File.generated(config, _copy(path), abs_src_path=str(path)))
    for folder in sorted(target for target in targets if target.is_dir()):
        page = File.generated(config, _copy(folder), content=_listing(folder), inclusion=InclusionLevel.NOT_IN_NAV)
        files.append(page)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    source = DOCS / page.file.src_uri

    def rewritten(link: re.Match[str]) -> str:
        target = (source.parent / link[1]).resolve()
        if target.is_relative_to(DOCS):
            return link[0]
        return posixpath.relpath(_copy(target), posixpath.dirname(page.file.src_uri))

    text = markdown if page.file.generated_by else _LINK.sub(rewritten, markdown)
    return "\n".join(_indented(_FENCE.sub(r"\1", text)))  # words after the language are for the tests


def _indented(text: str) -> Iterator[str]:
    """Yields the lines with four spaces for each two or three that indent what belongs to an entry of a list."""
    fence: int | None = None
    for line in text.split("\n"):
        margin = len(line) - len(line.lstrip(" ")) if fence is None else fence
        yield " " * 4 * (margin // 2) + line[margin:]
        if line.lstrip(" ").startswith("```"):
            fence = margin if fence is None else None


def _outside() -> Iterator[Path]:
    """Yields what pages link to outside docs."""
    for page in DOCS.rglob("*.md"):
        for link in _LINK.finditer(page.read_text(encoding="utf-8")):
            target = (page.parent / link[1]).resolve()
            if not target.is_relative_to(DOCS):
                yield target


def _tracked(target: Path) -> list[Path]:
    """Returns the file, or those of the folder, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", str(target)],  # noqa: S607
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def _copy(path: Path) -> str:
    """Returns the place in the site; pages have a further ending, so that they are copied as they are."""
    name = f"{COPIES}/{path.relative_to(ROOT).as_posix()}"
    if path.is_dir():
        return f"{name}/index.md"
    return f"{name}.txt" if path.suffix == ".md" else name


def _listing(folder: Path) -> str:
    here = f"{COPIES}/{folder.relative_to(ROOT).as_posix()}"
    names = sorted(posixpath.relpath(_copy(path), here) for path in _tracked(folder))
    lines = [f"* [{name}]({name})" for name in names]
    return "\n".join([f"# {folder.relative_to(ROOT).as_posix()}", "", *lines, ""])
