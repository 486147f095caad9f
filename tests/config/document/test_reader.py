"""Reading YAML: what values mean, where they stand, and what is refused."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrapper.config.document import parse, read
from bootstrapper.errors import InvalidFileError, Problem, Source

SECRET = "hunter2secret"


def problems(content: bytes | str) -> tuple[Problem, ...]:
    raw = content.encode() if isinstance(content, str) else content
    with pytest.raises(InvalidFileError) as caught:
        parse(raw, "a.yaml")
    return caught.value.problems


def problem(content: bytes | str) -> str:
    """The only problem, with its place."""
    (found,) = problems(content)
    return str(found)


def value(text: str) -> Any:
    return parse(f"a: {text}\n".encode(), "a.yaml").data["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("Null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-17", -17),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1.50", Decimal("1.50")),
        ("-0.1", Decimal("-0.1")),
        ("1e5", Decimal("100000")),
    ],
)
def test_plain_scalars_of_the_core_schema_are_converted(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected) or isinstance(found, Decimal)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "off",
        "y",
        "010",
        "0x1f",
        "0o17",
        "22:22",
        "2024-02-30",
        "1_000",
        "+1",
        ".5",
        "1.",
        ".inf",
        "tRUE",
        "nULL",
        "1e9999",
        "12e4567",
        "-x",
        "1.2.3",
        "٣",
        "-.inf",
        ".NaN",
    ],
)
def test_every_other_scalar_stays_text(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize("text", ["1.50", "1e5", "0.0000001", "1E-3", "100.00"])
def test_a_decimal_reads_as_it_was_written(text: str) -> None:
    assert (str(value(text)), f"{value(text)}") == (text, text)


@pytest.mark.parametrize("text", ["'5'", '"5"', "!!str 5", "! 5", "|-\n  5", ">-\n  5"])
def test_quoted_scalars_and_blocks_are_text(text: str) -> None:
    assert value(text) == "5"


def test_a_number_with_thousands_of_digits_stays_text() -> None:
    assert value("9" * 5000) == "9" * 5000


def test_core_tags_convert() -> None:
    assert value("!!int '7'") == 7
    assert value("!!float 7") == Decimal(7)
    assert value("!!bool 'true'") is True
    assert value("!!null ''") is None
    assert value("!!map {b: !!seq [1]}") == {"b": [1]}


def test_keys_are_text_as_written() -> None:
    document = parse(b"{1: a, true: b, null: c, 2024-02-30: d, '<<': e, 010: f}", "a.yaml")
    assert list(document.data) == ["1", "true", "null", "2024-02-30", "<<", "010"]


def test_every_value_and_key_knows_its_place() -> None:
    document = parse(b"a: 1\nb:\n  - x\n  - {c: [y, 'z']}\n", "dir/a.yaml")
    assert document.source(("b", 1, "c", 1)) == Source("dir/a.yaml", 4, 13)
    assert document.key_source(("b", 1, "c")) == Source("dir/a.yaml", 4, 6)
    assert document.source(("b", 0)) == Source("dir/a.yaml", 3, 5)
    assert document.source(()) == Source("dir/a.yaml", 1, 1)


def test_a_place_missing_in_the_file_is_that_of_its_nearest_ancestor() -> None:
    document = parse(b"a: 1\nb:\n  c: 2\n", "a.yaml")
    assert document.source(("b", "x", "y")) == document.source(("b",)) == Source("a.yaml", 3, 3)
    assert document.source(("a", "x")) == Source("a.yaml", 1, 4)
    assert document.key_source(("b", "x")) == Source("a.yaml", 2, 1)


def test_get_gives_the_raw_value_or_the_default() -> None:
    document = parse(b"a: [{b: 1}]", "a.yaml")
    assert document.get(("a", 0, "b")) == 1
    assert document.get(("a", 5, "b"), "none") == "none"
    assert document.get(("a", "b")) is None
    assert document.get(("a", -1)) is None


@pytest.mark.parametrize(
    "content",
    [
        "ä: ü\n".encode(),
        b"\xef\xbb\xbf" + "ä: ü\n".encode(),
        "\ufeffä: ü\n".encode("utf-16-le"),
        "\ufeffä: ü\n".encode("utf-16-be"),
    ],
)
def test_utf_8_and_marked_utf_16_are_read(content: bytes) -> None:
    document = parse(content, "a.yaml")
    assert document.data == {"ä": "ü"}
    assert document.source(("ä",)) == Source("a.yaml", 1, 4)


def test_latin_1_is_refused_where_it_begins() -> None:
    assert problem(b"a: 1\nb: caf\xe9 x\n") == "a.yaml:2:7: the file is not UTF-8"


def test_half_a_utf_16_character_is_refused() -> None:
    assert problem("\ufeffa: 1\n".encode("utf-16-le") + b"x") == "a.yaml:2:1: the file is not UTF-16"


@pytest.mark.parametrize(
    ("character", "shown"),
    [("\0", "0000"), ("\x1b", "001B"), ("\x7f", "007F"), ("\x80", "0080"), ("\ufffe", "FFFE")],
)
def test_control_characters_are_refused_with_their_place(character: str, shown: str) -> None:
    assert problem(f"é: 1\r\nb: x{character}\n") == f"a.yaml:2:5: a control character U+{shown}"


def test_characters_that_text_may_hold_pass() -> None:
    assert value('"\u00a0\u0085\U0001f600\ue000"') == "\u00a0 \U0001f600\ue000"  # NEL is a line break, which folds


def test_a_duplicate_key_names_the_first_one() -> None:
    assert problem("a: 1\nb: 2\na: 3\n") == 'a.yaml:3:1: duplicate key "a"; first at a.yaml:1:1'


def test_a_duplicate_key_is_found_at_any_depth_and_however_written() -> None:
    places = [str(found).partition(" ")[0] for found in problems("x: [{a: 1, 'a': 2}]\ny: {b: {}, b: []}")]
    assert places == ["a.yaml:1:12:", "a.yaml:2:12:"]


@pytest.mark.parametrize(
    "text",
    [
        f"!!python/object/apply:os.system [{SECRET}]",
        f"!{SECRET} x",
        "!!set {a}",
        "!!timestamp 2024-01-01",
        f"!<{SECRET}> x",
        "!!map [a]",
        "!!seq {a: b}",
        "!!binary aGk=",
        "!!str {a: b}",
    ],
)
def test_unknown_tags_are_refused_and_not_quoted(text: str) -> None:
    assert problem(f"a: {text}") == "a.yaml:1:4: unknown tag"


def test_a_core_tag_that_does_not_fit_its_text_is_refused() -> None:
    assert problem(f"a: !!int {SECRET}") == "a.yaml:1:4: not a valid int, as its tag says"


def test_aliases_repeat_a_value() -> None:
    document = parse(b"a: &x {b: [1]}\nc: *x\nd: [*x, *x]\ne: &y 5\nf: *y", "a.yaml")
    assert document.data["d"] == [{"b": [1]}, {"b": [1]}]
    assert document.data["f"] == 5
    assert document.source(("d", 1)) == Source("a.yaml", 3, 9)
    assert document.source(("d", 1, "b", 0)) == Source("a.yaml", 1, 12)


def test_merge_keys_add_missing_keys_and_the_first_one_wins() -> None:
    document = parse(b"a: &a {x: 1, y: [1]}\nb: &b {x: 2, z: 3}\nc: {y: 9, <<: [*a, *b]}\nd: {<<: *b, w: 0}", "a.yaml")
    assert document.data["c"] == {"y": 9, "x": 1, "z": 3}
    assert document.data["d"] == {"w": 0, "x": 2, "z": 3}
    assert document.source(("c", "z")) == Source("a.yaml", 2, 17)
    assert document.key_source(("d", "x")) == Source("a.yaml", 2, 8)


def test_a_merged_mapping_can_be_merged_again() -> None:
    document = parse(b"a: &a {x: {k: 1}}\nb: &b {<<: *a, y: 2}\nc: {<<: *b}", "a.yaml")
    assert document.data["c"] == {"y": 2, "x": {"k": 1}}
    assert document.source(("c", "x", "k")) == Source("a.yaml", 1, 15)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"a: *{SECRET}", "a.yaml:1:4: an alias without an anchor above it"),
        ("a: &x [*x]", "a.yaml:1:8: an alias inside its own anchor"),
        ("a: &x 1\nb: &x {c: *x}", "a.yaml:2:11: an alias inside its own anchor"),
        ("a: &x 1\n*x : 2", "a.yaml:2:1: an alias cannot be a key"),
        ("a: {<<: 5}", "a.yaml:1:9: << takes a mapping or a list of mappings"),
        ("a: &a {}\nb: {<<: [*a, 1]}", "a.yaml:2:9: << takes a mapping or a list of mappings"),
        ("a: &a {b: 1}\nc: {<<: *a, <<: *a}", "a.yaml:2:13: a second << in the same mapping"),
        ("'': 1", "a.yaml:1:1: empty key"),
        ("?\n: 1", "a.yaml:1:2: empty key"),
        ("[a]: 1", "a.yaml:1:1: a key must be plain text, not a list or a mapping"),
        ("? {a: 1}\n: 2", "a.yaml:1:3: a key must be plain text, not a list or a mapping"),
        ("a: 1\n---\nb: 2", "a.yaml:2:1: a second document starts here"),
        ("", "a.yaml:1:1: the file is empty"),
        ("# only a comment\n", "a.yaml:1:1: the file is empty"),
        ("---\n", "a.yaml:1:1: the file is empty"),
        ("- a", "a.yaml:1:1: expected a mapping of keys to values, found a list"),
        (f"\n{SECRET}", "a.yaml:2:1: expected a mapping of keys to values, found a single value"),
        ("%YAML 1.1\n%TAG !a! b\n---\na: 1", "a.yaml:2:1: %TAG directives are not allowed"),
    ],
)
def test_yaml_that_a_configuration_may_not_use_is_refused(content: str, message: str) -> None:
    assert problem(content) == message


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f"a: {{b: {SECRET}", 2),
        (f"a: '{SECRET}", 1),
        (f"a: b: {SECRET}", 1),
        (f"a: @{SECRET}", 1),
        (f"a:\n\t{SECRET}: 1", 2),
        (f'a: "\\q{SECRET}"', 1),
        (f"a: !u!{SECRET} 1", 1),
        (f"a: 1\n  {SECRET}: 2", 2),
        (f"a: {{b: ${{{SECRET}}}}}", 1),
        (f"a: |x{SECRET}", 1),
    ],
)
def test_a_syntax_error_has_its_place_and_quotes_nothing(content: str, line: int) -> None:
    (found,) = problems(content)
    assert found.source is not None
    assert found.source.line in (line, line + 1)
    assert SECRET not in f"{found} {found.hint}"


@pytest.mark.parametrize("content", ["a: {b: ${X}}", "a: b: c", "a:\n\tb: 1", "a: '"])
def test_the_usual_slips_come_with_a_hint(content: str) -> None:
    (found,) = problems(content)
    assert found.hint is not None


def test_a_key_that_does_not_look_like_a_name_is_not_quoted() -> None:
    assert f"p:{SECRET}" not in problem(f'{{"p:{SECRET}": 1, "p:{SECRET}": 2}}')


def test_all_the_problems_of_a_file_are_reported_together_in_order() -> None:
    found = problems("a: 1\na: !x 2\nb: *c\n'': 3\n")
    assert [str(item).split(":")[1] for item in found] == ["2", "2", "3", "4"]


def test_a_root_other_than_a_mapping_is_read_on_request() -> None:
    assert parse(b"[a, b]", "rows.yaml", any_root=True).data == ["a", "b"]


def test_the_parser_in_python_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"a: &x {b: 1.5, c: 'no'}\nd: [*x, {<<: *x}]\n"
    expected = parse(content, "a.yaml")
    monkeypatch.delattr(yaml, "CSafeLoader")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    document = parse(content, "a.yaml")
    assert document.data == expected.data
    assert document.source(("d", 1, "b")) == expected.source(("d", 1, "b"))
    assert SECRET not in problem(f"a: !u!{SECRET} 1")
    assert "64 levels" in problem(b"[" * 100)


# Bombs. The sizes are those at which a reader without limits takes seconds, gigabytes or its life.


def deep(opening: str) -> str:
    return opening * (50_000 // len(opening))


def laughs() -> str:
    levels = [f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(12)]
    return "\n".join(["a: &a [x, x, x]", *levels])


def merges() -> str:
    keys = ", ".join(f"k{n}: 1" for n in range(50))
    levels = [f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join([f'*{chr(97 + n)}'] * 9)}]}}" for n in range(12)]
    return "\n".join([f"a: &a {{{keys}}}", *levels])


def repeated_text() -> str:
    return f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 1000)}]"


BOMBS: dict[str, Callable[[], str]] = {
    "brackets": lambda: deep("["),
    "braces": lambda: deep("{a: "),
    "dashes": lambda: deep("- "),
    "questions": lambda: deep("? "),
    "aliases": laughs,
    "merge keys": merges,
    "a long text repeated": repeated_text,
    "directives": lambda: "".join(f"%TAG !{n}! a\n" for n in range(100_000)),
    "scalars": lambda: "a: [" + "a," * 500_000,
}


@pytest.mark.parametrize(
    ("name", "is_data"), [*((name, False) for name in BOMBS), *((name, True) for name in BOMBS if name != "scalars")]
)
def test_a_bomb_is_refused_within_two_seconds_and_200_mb(name: str, is_data: bool, tmp_path: Path) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text(BOMBS[name]())
    program = (
        "import re, sys, time; from pathlib import Path\n"
        "from bootstrapper.config.document import read; from bootstrapper.errors import InvalidFileError\n"
        "begun = time.process_time()\n"
        f"try: read(Path(sys.argv[1]), any_root={is_data})\n"
        # ru_maxrss would begin with the size of the process that forked this one
        "except InvalidFileError:\n"
        "    peak = re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]\n"
        "    print(time.process_time() - begun, peak)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < 2
    assert kilobytes < 200 * 1024


def test_a_file_of_rows_may_be_larger_than_a_configuration() -> None:
    content = b"- {a: 1, b: 2, c: 3, d: 4}\n" * 60_000
    assert len(parse(content, "rows.yaml", any_root=True).data) == 60_000
    with pytest.raises(InvalidFileError, match=r"rows\.yaml:1:.*: more than 5,000,000 keys and values"):
        parse(b"- [" + b"[]," * 700_000 + b"[]]", "rows.yaml", any_root=True)


def test_thousands_of_rows_take_less_than_yamls_own_composer() -> None:
    row = "  - {email: u%d@example.com, name: User, n: %d, price: 1.50, active: true, tenant: {$ref: tenants.default}}"
    content = ("rows:\n" + "\n".join(row % (n, n) for n in range(4_000))).encode()
    assert len(parse(content, "a.yaml").data["rows"]) == 4_000
    works = {"ours": lambda: parse(content, "a.yaml"), "yaml's": lambda: yaml.compose(content, Loader=yaml.CSafeLoader)}
    least = dict.fromkeys(works, math.inf)
    for _ in range(5):  # in turn, and the least: on a busy machine a single one may wait
        for name, work in works.items():
            begun = time.process_time()
            work()
            least[name] = min(least[name], time.process_time() - begun)
    assert least["ours"] < least["yaml's"]


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_collector_is_left_as_it_was_found(is_enabled: bool) -> None:
    assert gc.isenabled()
    try:
        if not is_enabled:
            gc.disable()
        with pytest.raises(InvalidFileError):
            parse(b"a: [", "a.yaml")
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable()


# Files.


def unreadable(file: Path) -> Problem:
    with pytest.raises(InvalidFileError) as caught:
        read(file)
    (found,) = caught.value.problems
    return found


def test_a_file_is_read_under_the_name_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\n")
    monkeypatch.chdir(tmp_path)
    assert read(Path("a.yaml")).source(("a",)) == Source("a.yaml", 1, 4)


def test_a_missing_file_is_an_error_with_a_hint(tmp_path: Path) -> None:
    found = unreadable(tmp_path / "a.yaml")
    assert found.message == f"file {tmp_path / 'a.yaml'} does not exist"
    assert found.hint == "Run in the folder of the file, or name it with -f."


def test_a_pipe_without_a_writer_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert unreadable(tmp_path / "pipe").message.endswith("is a pipe, a device or a socket, not a file")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device: str) -> None:
    assert unreadable(Path(device)).message == f"{device} is a pipe, a device or a socket, not a file"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert unreadable(tmp_path).message == f"{tmp_path} is a folder, not a file"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(1 << 40)  # without a block on the disk
    assert unreadable(tmp_path / "huge.yaml").message.endswith("is larger than 16 MB")


def test_huge_content_is_refused_from_memory_too() -> None:
    assert "larger than 16 MB" in problem(b" " * (16 * 1024 * 1024 + 1))


def test_a_link_to_itself_and_an_invalid_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read" in unreadable(tmp_path / "loop").message
    assert unreadable(Path("a\0b")).message == "not a valid file name"


def test_a_file_without_the_right_to_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    tmp_path.chmod(0o755)
    program = (
        "import os, sys; from pathlib import Path\n"
        "from bootstrapper.config.document import read; from bootstrapper.errors import InvalidFileError\n"
        "os.chdir(sys.argv[1])\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: read(Path('a.yaml'))\n"
        "except InvalidFileError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "a.yaml cannot be read: Permission denied\n"
