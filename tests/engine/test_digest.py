"""The digest of all inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.engine import digest as inputs


def digest(data: dict[str, object], files: tuple[Path, ...] = (), **variables: str) -> str:
    from bootstrapper.builtin import registry

    values = {kind.key: kind for kind in registry.bootstrapper_values()}
    return inputs.digest(data, files, environment=None, variables=variables, values=values)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([[]], ["[", "]"]),
        ([1], ["int 1"]),
        (["a\0b"], ["a", "b"]),
        ({"a": "b"}, ["{", "a", "b", "}"]),
        ([None], ["None"]),
    ],
)
def test_different_data_have_different_digests(left: object, right: object) -> None:
    assert digest({"x": left}) != digest({"x": right})


def test_variables_that_are_not_text_have_a_digest() -> None:
    assert digest({"x": "${A}"}, A="\udcff") != digest({"x": "${A}"}, A="b")


def test_what_env_reads_is_in_the_digest_unless_it_is_a_secret() -> None:
    assert digest({"x": {"$env": "A"}}, A="1") != digest({"x": {"$env": "A"}}, A="2")
    secret = {"$env": {"name": "A", "secret": True}}
    assert digest({"x": secret}, A="1") == digest({"x": secret}, A="2")


def test_the_digest_does_not_depend_on_where_the_folders_are(tmp_path: Path) -> None:
    found = []
    for project, plugins in (("a", "z"), ("z", "a")):
        files = (tmp_path / f"1{project}" / "one.sql", tmp_path / f"1{plugins}" / "two.py")
        for file in files:
            file.parent.mkdir(exist_ok=True)
            file.write_text(file.name)
        found.append(digest({}, files))
    assert found[0] == found[1]


def test_a_file_that_is_renamed_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "one.sql").write_text("x")
    (tmp_path / "two.sql").write_text("x")
    assert digest({}, (tmp_path / "one.sql",)) != digest({}, (tmp_path / "two.sql",))


def test_files_that_values_read_are_found_unless_they_are_secrets() -> None:
    from bootstrapper.builtin import registry

    values = {kind.key: kind() for kind in registry.bootstrapper_values()}
    rows = [{"terms": {"$file": "${FOLDER}/terms.txt"}}, {"password": {"$password": {"$file": "secret"}}}]
    assert list(inputs.files_of({"rows": rows}, {"FOLDER": "texts"}, values)) == ["texts/terms.txt"]


def test_the_version_of_an_installed_plugin_is_in_the_digest() -> None:
    found = {
        inputs.digest({}, (), environment=None, variables={}, values={}, versions=versions)
        for versions in ((), ("grants 1.0",), ("grants 1.1",))
    }
    assert len(found) == 3
