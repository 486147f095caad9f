import pytest

from bootstrapper.postgres.connection.statements import fault_in_expression, line_and_column, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        (" ;; -- nothing;\n/* at; /* all; */ ; */ ;", []),
        ("SELECT 'a;b', 'it''s;', \"c;d\";", ["SELECT 'a;b', 'it''s;', \"c;d\""]),
        (r"SELECT E'\';', 'x\'; SELECT 2", [r"SELECT E'\';', 'x\'", "SELECT 2"]),
        ("DO $$ BEGIN; END $$; SELECT $a$ ; $$ ; $a$", ["DO $$ BEGIN; END $$", "SELECT $a$ ; $$ ; $a$"]),
        ("SELECT a$1$ FROM t; SELECT $1", ["SELECT a$1$ FROM t", "SELECT $1"]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", None),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
            None,
        ),
        ("SELECT 'unclosed; SELECT 2", ["SELECT 'unclosed; SELECT 2"]),
        ("/* unclosed; SELECT 2", []),
    ],
)
def test_a_text_is_cut_where_the_server_cuts_it(text: str, expected: list[str] | None) -> None:
    found = [statement.text for statement in split(text)]
    assert found == (expected if expected is not None else [text.rpartition(";")[0], "SELECT 3"])


@pytest.mark.parametrize(
    "text",
    [
        "begin",
        "Commit",
        "/* c */ COMMIT AND CHAIN",
        "END",
        "abort",
        "ROLLBACK",
        "rollback work",
        "START TRANSACTION",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "ROLLBACK PREPARED 'x'",
    ],
)
def test_statements_that_begin_or_end_a_transaction_are_recognised(text: str) -> None:
    assert [statement.controls_transactions for statement in split(f"SELECT 1;\n{text};")] == [False, True]


@pytest.mark.parametrize(
    "text",
    ["SAVEPOINT s", "ROLLBACK TO s", "ROLLBACK WORK TO SAVEPOINT s", "RELEASE s", "PREPARE p AS SELECT 1", "SELECT 1"],
)
def test_savepoints_and_other_statements_control_no_transaction(text: str) -> None:
    assert not split(text)[0].controls_transactions


def test_positions_become_lines_and_columns_from_one() -> None:
    text = "SELECT 1;\n  SELECT 2"
    assert line_and_column(text, split(text)[1].start) == (2, 3)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = ')' AND f(b) /* ) */ -- )", None),
        ("$$ ) $$ = b OR E'\\') OR (' = a", None),
        ("a = 'x' /* never\n */", None),
        ("1=1) OR (1=1", "closes a bracket that was not opened"),
        ("a -- ends here\r) OR (b", "closes a bracket that was not opened"),
        ("(a OR b", "has an unclosed bracket"),
        ("a; DELETE FROM b", "contains a semicolon"),
        ("a = 'x", "has an unterminated string, name or comment"),
        ("$$ ) = b", "has an unterminated string, name or comment"),
        ("a /* )", "has an unterminated string, name or comment"),
        ("a /* never\n", "has an unterminated string, name or comment"),
        (" -- nothing", "is empty"),
    ],
)
def test_an_expression_cannot_leave_the_brackets_around_it(text: str, fault: str | None) -> None:
    assert fault_in_expression(text) == fault
