"""The variable that a project reads the address of its database from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.scaffold import imports
from bootstrapper.scaffold.sources import files
from bootstrapper.scaffold.url_variables import Found, find
from tests.scaffold.projects import write


def found(folder: Path, texts: dict[str, str]) -> Found:
    write(folder, texts)
    env_py = folder / "env.py"
    modules = imports.behind(env_py, [folder]) if env_py.exists() else []
    return find(folder, modules, list(files(folder)))


@pytest.mark.parametrize(
    "code",
    [
        "import os; url = os.environ['SHOP_DATABASE_URL']",
        "from os import environ; url = environ.get('SHOP_DATABASE_URL', 'sqlite://')",
        "import os; url = os.getenv('SHOP_DATABASE_URL')",
        "from decouple import config; url = config('SHOP_DATABASE_URL')",
        "from environs import Env; env = Env(); url = env.str('SHOP_DATABASE_URL')",
        "class Settings(BaseSettings):\n    shop_database_url: PostgresDsn",
        "class Settings(BaseSettings):\n    c = SettingsConfigDict(env_prefix='SHOP_')\n    database_url: str",
        "class Settings(BaseSettings):\n    database_url: str\n    class Config:\n        env_prefix = 'SHOP_'",
        "class Settings(BaseSettings):\n    url: str = Field(..., validation_alias='SHOP_DATABASE_URL')",
        "class Settings(BaseSettings):\n    url: str = Field(alias=AliasChoices('SHOP_DATABASE_URL'))",
    ],
)
def test_a_variable_is_found_however_it_is_read(tmp_path: Path, code: str) -> None:
    url = found(tmp_path, {"env.py": code}).url
    assert url is not None
    assert url.name == "SHOP_DATABASE_URL"


@pytest.mark.parametrize(
    "code",
    [
        "app.config.get('SQLALCHEMY_DATABASE_URI')",
        "os.environ['TEST_DATABASE_URL']",
        "os.environ['REDIS_URL']",
        "os.environ['DATABASE_POOL_SIZE']",
        "class Thing(Base):\n    database_url: str",
    ],
)
def test_other_names_and_lookups_are_not_variables_of_the_address(tmp_path: Path, code: str) -> None:
    assert found(tmp_path, {"env.py": code}) == Found()


def test_imports_are_followed_to_the_settings(tmp_path: Path) -> None:
    files = {
        "env.py": "from app.core import settings",
        "app/core/__init__.py": "from .config import settings",
        "app/core/config.py": "import os\n\nsettings = os.environ['DB_DSN']",
        "other/settings.py": "import os; os.environ['DATABASE_URL']",
    }
    url = found(tmp_path, files).url
    assert url is not None
    assert (url.name, url.place) == ("DB_DSN", "app/core/config.py:3")


def test_the_place_of_a_setting_is_its_own_line(tmp_path: Path) -> None:
    url = found(tmp_path, {"env.py": "class Settings(BaseSettings):\n    debug: bool\n    database_url: str"}).url
    assert url is not None
    assert url.place == "env.py:3"


def test_of_several_variables_the_one_that_is_set_somewhere_is_taken_with_its_driver(tmp_path: Path) -> None:
    files = {
        "env.py": "import os; os.environ['OLD_DATABASE_URL']; os.environ['DATABASE_URL']",
        ".env.example": "# comment\nDATABASE_URL=postgresql+asyncpg://app:hunter2hunter2@localhost/app\n",
    }
    result = found(tmp_path, files)
    assert result.url is not None
    assert (result.url.name, result.url.driver) == ("DATABASE_URL", "asyncpg")
    assert [each.name for each in result.others] == ["OLD_DATABASE_URL"]
    assert "hunter2" not in repr(result)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (".env", "A=1\nexport APP_DATABASE_URL='postgres://localhost/app'\n", 2),
        ("compose.yaml", "services:\n  web:\n    environment:\n      APP_DATABASE_URL: postgresql://db/app\n", 4),
        (
            "docker-compose.yml",
            "services:\n  web:\n    environment:\n      - APP_DATABASE_URL=postgresql://db/app\n",
            4,
        ),
    ],
)
def test_without_code_the_variable_of_an_example_is_taken(tmp_path: Path, name: str, text: str, line: int) -> None:
    result = found(tmp_path, {name: text})
    assert result.url is not None
    assert (result.url.name, result.url.place, result.is_read) == ("APP_DATABASE_URL", f"{name}:{line}", False)


def test_an_address_of_another_kind_of_server_is_not_taken(tmp_path: Path) -> None:
    assert found(tmp_path, {".env": "DATABASE_URL=mysql://localhost/app\n"}) == Found()


def test_variables_with_the_parts_of_the_address_belong_together(tmp_path: Path) -> None:
    code = """
    class Settings(BaseSettings):
        REDIS_HOST: str
        POSTGRES_SERVER: str
        POSTGRES_USER: str
        POSTGRES_PASSWORD: str = ""
        POSTGRES_DB: str
    """
    assert found(tmp_path, {"env.py": code}).parts == {
        "host": "POSTGRES_SERVER",
        "user": "POSTGRES_USER",
        "password": "POSTGRES_PASSWORD",
        "dbname": "POSTGRES_DB",
    }


def test_some_parts_alone_are_not_an_address(tmp_path: Path) -> None:
    assert found(tmp_path, {"env.py": "import os; os.environ['DB_HOST']; os.environ['DB_USER']"}) == Found()


def test_files_that_cannot_be_parsed_are_passed_over(tmp_path: Path) -> None:
    files = {"env.py": "import settings", "settings.py": "def broken(", "compose.yaml": "a: [", ".env": "="}
    assert found(tmp_path, files) == Found()
