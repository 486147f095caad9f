"""`$sql`: an SQL expression that the server evaluates when the row is created."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from bootstrapper.errors import with_sqlstate
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.value import UNKNOWN, Value
from bootstrapper.postgres.connection.server_messages import said_without_values
from bootstrapper.postgres.connection.settings import ask_lent
from bootstrapper.postgres.connection.statements import fault_in_expression


class SqlValue(Value):
    """`$sql: expression`, evaluated once for each new row, in the step's transaction."""

    key = "$sql"
    needs_database = True
    borrows_session = False
    create_only = True

    def check(self, argument: Any) -> None:
        if argument is UNKNOWN:
            return
        if not isinstance(argument, str) or not argument.strip():
            raise ValueError("$sql takes an SQL expression")
        fault = fault_in_expression(argument)
        if fault is not None:
            raise ValueError(f"$sql: the expression {fault}")

    def resolve(self, context: Context, argument: Any) -> object:
        run = run_of(context)
        self.check(argument)
        expression = sql.SQL(argument)  # the file's author may run any SQL
        try:
            # The line break ends a comment at the end of the expression.
            row = ask_lent(run.connection, sql.SQL("SELECT ({}\n)::pg_catalog.text").format(expression)).fetchone()
        except psycopg.Error as error:
            reason = run.masker.quote(said_without_values(error, run.project.written))
            raise ValueError(with_sqlstate(f"$sql: {reason}", error.sqlstate)) from None
        return row[0] if row else None
