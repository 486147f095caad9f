"""What `fleet plan` and `fleet status` print: text, JSON, Markdown and a page of HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from string import ascii_uppercase

from bootstrapper.config.units import show_seconds
from bootstrapper.fleet.survey import Group, Plans, Standing, Standings
from bootstrapper.plans import Plan
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.text import counted, dumps, listed, one_line

_MOST_SHOWN, _SLOWEST = 20, 5
_ORDER = ("failed", "unreachable", "unknown", "ahead", "behind", "drifted", "head")
_COLOURS = {
    "head": "#2da44e",
    "drifted": "#d4a72c",
    "behind": "#0969da",
    "ahead": "#8250df",
    "unreachable": "#424a53",
    "unknown": "#afb8c1",
    "failed": "#cf222e",
}

_STYLE = (
    ":root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;margin:2em}"
    "i{display:inline-block;flex:none;width:12px;height:12px;border-radius:2px}"
    "ul{list-style:none;padding:0;display:flex;gap:.3em 1.5em;flex-wrap:wrap}li i,td i{margin-right:.5em}"
    "div{display:flex;flex-wrap:wrap;gap:2px;margin:1.5em 0}table{border-collapse:collapse}"
    "th,td{text-align:left;vertical-align:top;padding:.2em 1.5em .2em 0}td{border-top:1px solid #8884}"
    "td:nth-child(2){white-space:nowrap}"
)


def plans_text(found: Plans, renderer: Renderer) -> str:
    """Returns how many targets have which plan, and one plan of each group."""
    lines = [_totals(found)]
    for letter, group in _lettered(found.groups):
        names = ", ".join(map(one_line, group.examples))
        more = f" and {group.targets - len(group.examples):,} more" if group.targets > len(group.examples) else ""
        lines += ["", f"{letter}: {counted(group.targets, 'target')}: {names}{more}"]
        lines += renderer.plan(Plan.from_json(group.plan)).splitlines()
    return "\n".join([*lines, *_failures(found)])


def plans_json(found: Plans) -> str:
    groups = [{**asdict(group), "plan": json.loads(group.plan) if group.plan else None} for group in found.groups]
    return dumps({**asdict(found), "groups": groups})


def _totals(found: Plans) -> str:
    parts = [f"{group.targets:,} alike ({letter})" for letter, group in _lettered(found.groups)]
    parts += [f"{group.targets:,} with nothing to do" for group in found.groups if not group.is_pending]
    parts += [f"{found.unreachable:,} unreachable"] if found.unreachable else []
    parts += [f"{found.failed:,} failed"] if found.failed else []
    return f"fleet {one_line(found.fleet)}: {', '.join(parts) or 'no targets'}"


def _lettered(groups: Sequence[Group]) -> Iterator[tuple[str, Group]]:
    """Yields the groups with something to do: A to Z, then A2 and so on."""
    pending = (group for group in groups if group.is_pending)
    for number, group in enumerate(pending):
        again, place = divmod(number, len(ascii_uppercase))
        yield f"{ascii_uppercase[place]}{again + 1 if again else ''}", group


def _failures(found: Plans) -> Iterator[str]:
    if found.failures:
        yield ""
        for result in found.failures:
            yield f"{one_line(result.target)}: exit code {result.exit_code}: {one_line(result.headline)}"
        left = found.failed + found.unreachable - len(found.failures)
        if left:
            yield f"and {left:,} more"


def status_text(found: Standings, *, is_full: bool) -> str:
    lines = [f"fleet {one_line(found.fleet)}: {counted(len(found.targets), 'target')}"]
    lines += [f"{number:>9,} {state}" for state, number in _counts(found)]
    wrong = _wrong(found)
    shown = wrong if is_full else wrong[:_MOST_SHOWN]
    if shown:
        rows = [_row(each) for each in shown]
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        lines += ["", *(f"{name:<{first}}  {state:<{second}}  {why}".rstrip() for name, state, why in rows)]
    if len(wrong) > len(shown):
        lines.append(f"and {len(wrong) - len(shown):,} more; --full lists all of them")
    slowest = [f"{one_line(each.target)} ({show_seconds(each.seconds)})" for each in _slowest(found)]
    return "\n".join([*lines, *(["", f"slowest to answer: {listed(slowest)}"] if slowest else [])])


def status_json(found: Standings) -> str:
    return dumps({**asdict(found), "states": dict(_counts(found))})


def status_markdown(found: Standings, *, is_full: bool) -> str:
    lines = [f"## Fleet {_cell(found.fleet)}", "", "| state | targets |", "| --- | --- |"]
    lines += [f"| {state} | {number:,} |" for state, number in _counts(found)]
    wrong = _wrong(found)
    shown = wrong if is_full else wrong[:_MOST_SHOWN]
    if shown:
        lines += ["", "| target | state | why |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(map(_cell, _row(each)))} |" for each in shown]
    if len(wrong) > len(shown):
        lines += ["", f"And {len(wrong) - len(shown):,} more."]
    return "\n".join(lines)


def status_html(found: Standings) -> str:
    """Returns a page that needs nothing else: a cell for each target, which names it and tells why."""
    legend = "".join(f"<li>{_square(state)}{number:,} {state}</li>" for state, number in _counts(found))
    cells = "".join(_square(each.state, ": ".join(filter(None, _row(each)))) for each in found.targets)
    rows = "".join(_table_row(each) for each in _wrong(found))
    head = "<tr><th>target</th><th>state</th><th>why</th></tr>" if rows else ""
    name, at = html.escape(one_line(found.fleet)), datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Fleet {name}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>\n'
        f"<h1>Fleet {name}</h1>\n<p>{counted(len(found.targets), 'target')} on {at}</p>\n"
        f"<ul>{legend}</ul>\n<div>{cells}</div>\n<table>{head}{rows}</table>\n</html>"
    )


def _square(state: str, title: str | None = None) -> str:
    titled = "" if title is None else f' title="{html.escape(title)}"'
    return f'<i style="background:{_COLOURS[state]}"{titled}></i>'


def _table_row(each: Standing) -> str:
    name, state, why = map(html.escape, _row(each))
    return f"<tr><td>{name}</td><td>{_square(each.state)}{state}</td><td>{why}</td></tr>"


def _counts(found: Standings) -> list[tuple[str, int]]:
    states = found.states
    return [(state, states[state]) for state in reversed(_ORDER) if states[state]]


def _wrong(found: Standings) -> list[Standing]:
    """Returns the targets that are not at head, the worst first, and those at head of which there is more to tell."""
    wrong = (each for each in found.targets if each.state != "head" or each.detail)
    return sorted(wrong, key=lambda each: (_ORDER.index(each.state), each.target))


def _slowest(found: Standings) -> list[Standing]:
    return sorted(found.targets, key=lambda each: -each.seconds)[:_SLOWEST]


def _row(each: Standing) -> tuple[str, str, str]:
    return one_line(each.target), each.state, one_line(each.detail)


def _cell(text: str) -> str:
    return html.escape(one_line(text)).replace("|", "\\|")
