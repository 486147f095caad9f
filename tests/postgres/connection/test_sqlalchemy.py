from __future__ import annotations

import psycopg
from sqlalchemy import text

from bootstrapper.postgres.connection.sqlalchemy import borrow


def test_code_that_commits_or_rolls_back_cannot_leave_the_transaction(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as lender:
        lender.execute("BEGIN")
        borrowed = borrow(lender)
        borrowed.execute(text("CREATE TABLE escaped (id int)"))
        borrowed.commit()
        with borrowed.begin():
            borrowed.execute(text("INSERT INTO escaped VALUES (1)"))
        borrowed.rollback()
        assert borrowed.execute(text("SELECT count(*) FROM escaped")).scalar() == 1
        borrowed.close()
        lender.execute("ROLLBACK")
        assert lender.execute("SELECT to_regclass('escaped')").fetchone() == (None,)
