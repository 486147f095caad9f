"""What is shown of a text in which a secret may stand."""

from __future__ import annotations

import time

import pytest

from bootstrapper.config.secret_names import is_secret_name, is_secret_variable
from bootstrapper.config.sensitive import hidden, hidden_words, secrets_in


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cr@t@host/app", "postgresql://me:***@host/app"),
        ("postgresql://me:${PW}@host/app", "postgresql://me:${PW}@host/app"),
        ("postgresql://${U:-me}:${PW:-s3cret}@host/app", "postgresql://${U:-me}:${PW:-***}@host/app"),
        ("${URL:-postgresql://me:s3cret@host/app}", "${URL:-postgresql://me:***@host/app}"),
        ("postgresql://${LOGIN:-app:hunter2}@db/x", "postgresql://${LOGIN:-app:***}@db/x"),
        ("postgresql://${LOGIN:-app:hun}ter2@db/x", "postgresql://${LOGIN:-***}@db/x"),
        ("postgresql://${U:-app}:hun${HOST:-ter2@db}/x", "postgresql://${U:-app}:${HOST:-***}/x"),
        ("postgresql://${A:-${B:-app:hunter2}}@db/x", "postgresql://${A:-***}@db/x"),
        ("postgresql://${LOGIN:-app:hunter2@db/x", "postgresql://${LOGIN:***@db/x"),
        ("https://${X:-s3cret@host}/", "https://${X:-***@host}/"),
        ("https://${X:-s3cret}@host/", "https://${X:-***}@host/"),
        ("${HOST:-db} ${PORT:-5432}", "${HOST:-db} ${PORT:-5432}"),
        ("postgresql://host/app?password=s3cret&sslmode=x", "postgresql://host/app?password=***&sslmode=x"),
        ("postgresql://host/app?user=me&sslpassword=s3cret", "postgresql://host/app?user=me&sslpassword=***"),
        ("https://s3cret@example.com/x", "https://***@example.com/x"),
        ("host=db password='s3 cret' user=me", "host=db password='***' user=me"),
        ("CREATE ROLE app LOGIN PASSWORD 's3''cret' CREATEDB", "CREATE ROLE app LOGIN PASSWORD '***' CREATEDB"),
        ("ALTER ROLE app ENCRYPTED PASSWORD $x$s3cret$x$", "ALTER ROLE app ENCRYPTED PASSWORD ***"),
        ("CREATE ROLE app PASSWORD '${APP_PASSWORD}'", "CREATE ROLE app PASSWORD '${APP_PASSWORD}'"),
        ("CREATE ROLE app PASSWORD '${PW:-s3cret}'", "CREATE ROLE app PASSWORD '${PW:-***}'"),
        ("SELECT ${SCHEMA:-public}.f('${API_TOKEN:-s3cret}')", "SELECT ${SCHEMA:-public}.f('${API_TOKEN:-***}')"),
        ("curl --api-key s3cret https://x", "curl --api-key *** https://x"),
        ("-H 'Authorization: Bearer s3cret'", "-H 'Authorization: Bearer ***'"),
        ("SELECT count(*) FROM users WHERE role = 'admin'", "SELECT count(*) FROM users WHERE role = 'admin'"),
        ("embedded:.bootstrapper/postgres", "embedded:.bootstrapper/postgres"),
        ("https://example.com:8080/x?y=1", "https://example.com:8080/x?y=1"),
    ],
)
def test_secrets_are_hidden_and_the_names_of_variables_stay(text: str, shown: str) -> None:
    assert hidden(text) == shown


def test_the_argument_after_an_option_for_a_secret_is_hidden() -> None:
    words = ["load", "--token", "s3cret", "--token=s3cret", "--user", "me", "--password", "${PW}"]
    assert hidden_words(words) == ["load", "--token", "***", "--token=***", "--user", "me", "--password", "${PW}"]


def test_hidden_secrets_can_be_learnt() -> None:
    text = "postgresql://me:${PW:-s3cret}@host/app?sslpassword='other'"
    assert set(secrets_in(text)) == {"${PW:-s3cret}", "other"}


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PASSWORD", "PGPASSWORD", "dbPassword", "SMTP_PASS", "password", "sslpassword", "secret", "clientSecret"),
        *("GITHUB_TOKEN", "authToken", "API_KEY", "AWS_SECRET_ACCESS_KEY", "account_key", "credentials", "apikey"),
    ],
)
def test_a_name_of_a_secret_is_recognised(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD_MIN_LENGTH", "TOKEN_FILE", "SECRET_NAME", "password_set_at", "AWS_ACCESS_KEY_ID", "key", "PATH"),
        *("passfile", "compass", "monkey", "keys", "", "keep", "PASSWORD_URL"),
    ],
)
def test_a_name_about_a_secret_is_not_the_name_of_a_secret(name: str) -> None:
    assert not is_secret_name(name)


def test_any_key_is_a_secret_where_it_is_a_variable() -> None:
    names = ["APP_KEY", "STRIPE_KEY", "PUBLIC_KEY", "CACHE_KEY", "KEY", "PWD", "DB_PASSWORD", "DB_PWD"]
    secret = ["APP_KEY", "STRIPE_KEY", "DB_PASSWORD", "DB_PWD"]
    assert [name for name in names if is_secret_variable(name)] == secret


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a" * 200_000, id="one word"),
        pytest.param("a1.-" * 50_000, id="digits and dots in it"),
        pytest.param("http://h:" + "".join(f"${{V{number}}}" for number in range(40)), id="variables in an address"),
        pytest.param("http://" + "".join(f"${{V{number}}}" for number in range(40)), id="variables for a host"),
        pytest.param("http://" + "${V:-a}" * 30_000, id="defaults for a host"),
        pytest.param("${V:-http://a:b}" * 1_500, id="addresses in defaults"),
        pytest.param("a = " * 20_000, id="settings without values"),
        pytest.param('"http://h:80/",' * 5_000, id="addresses in one word"),
    ],
)
def test_long_texts_without_a_secret_are_looked_through_at_once(text: str) -> None:
    started = time.process_time()
    assert hidden(text) == text
    assert time.process_time() - started < 5  # seconds; each took minutes or longer


@pytest.mark.parametrize("before", ["", "9", "--", "-x.", "é", "?a=b&", "${VAR}"])
def test_a_setting_is_found_after_any_characters_before_its_name(before: str) -> None:
    assert hidden(f"{before}password=hunter2") == f"{before}password=***"
