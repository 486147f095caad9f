"""The tables of a project's models and revisions."""

from __future__ import annotations

from pathlib import Path

from bootstrapper.scaffold.models import ModelTable, created, declared
from tests.migrations.projects import write_revision
from tests.scaffold.projects import write


def tables(folder: Path, code: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    write(folder, {"models.py": code})
    return [facts(each) for each in declared([folder / "models.py"])]


def facts(table: ModelTable) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    return table.name, table.columns, table.key


def test_declarative_models_are_found_with_schema_columns_and_key(tmp_path: Path) -> None:
    code = """
    class User(Base):
        __tablename__ = "users"
        __table_args__ = (UniqueConstraint("email"), {"schema": "app"})
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str] = mapped_column("mail", unique=True)
        name: Mapped[str]
        posts: Mapped[list["Post"]] = relationship()

    class Post(Base):
        __tablename__ = "posts"
        id = Column(Integer, primary_key=True)
    """
    assert tables(tmp_path, code) == [
        ("app.users", ("id", "mail", "name"), ("mail",)),
        ("posts", ("id",), ("id",)),
    ]


def test_tables_of_core_are_found(tmp_path: Path) -> None:
    code = "t = Table('rates', metadata, Column('day', Date, primary_key=True), Column('rate', Numeric), schema='fx')"
    assert tables(tmp_path, code) == [("fx.rates", ("day", "rate"), ("day",))]


def test_names_that_a_framework_derives_are_found(tmp_path: Path) -> None:
    code = """
    class HeroTeam(SQLModel, table=True):
        name: str = Field(unique=True)

    class HeroBase(SQLModel):
        name: str

    class UserGroup(db.Model):
        id = db.Column(db.Integer, primary_key=True)
    """
    assert [name for name, *_ in tables(tmp_path, code)] == ["heroteam", "user_group"]


def test_a_computed_name_is_not_guessed(tmp_path: Path) -> None:
    code = """
    class A(Base):
        __tablename__ = PREFIX + "a"

    class B(Base):
        @declared_attr
        def __tablename__(cls):
            return cls.__name__

    class C(db.Model):
        __abstract__ = True
    """
    assert tables(tmp_path, code) == []


def test_revisions_tell_the_tables_that_they_leave(tmp_path: Path) -> None:
    create = "op.create_table('{0}', sa.Column('id', sa.Integer, primary_key=True))"
    first = write_revision(tmp_path, "1", upgrade="\n".join(create.format(name) for name in ("a", "b", "c")))
    second = write_revision(tmp_path, "2", "1", upgrade="op.drop_table('b')\nop.rename_table('c', 'd')")
    assert [facts(each) for each in created([first, second])] == [("a", ("id",), ("id",))]


def test_a_name_that_would_end_a_comment_is_left_out(tmp_path: Path) -> None:
    assert tables(tmp_path, "Table('a\\nsteps: []', metadata)\nTable('b', metadata)") == [("b", (), ())]
