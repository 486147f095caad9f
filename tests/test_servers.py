import psycopg


def test_a_test_database_is_empty_and_new(database: str) -> None:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert row == (0,)
