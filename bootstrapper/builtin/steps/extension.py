"""extension: installs an extension, updates it to a declared version, and moves it to a declared schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import psycopg
from psycopg import sql
from pydantic import Field

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import StepFailedError
from bootstrapper.plans import SQL, Action, Bounds, Change, Deferred, Finding, payload_of
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.step import Step
from bootstrapper.plugin.traits import Bounded, ShowsSql
from bootstrapper.text import listed

_INSTALLED = """
SELECT e.extversion, n.nspname, e.extrelocatable
FROM pg_catalog.pg_extension AS e
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
WHERE e.extname OPERATOR(pg_catalog.=) %s
"""
_OFFERED = """
SELECT v.version, v.version OPERATOR(pg_catalog.=) a.default_version, v.superuser, v.trusted, v.schema,
    ARRAY(SELECT r.name::pg_catalog.text FROM pg_catalog.unnest(v.requires) AS r (name)
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extname OPERATOR(pg_catalog.=) r.name))
FROM pg_catalog.pg_available_extension_versions AS v
    JOIN pg_catalog.pg_available_extensions AS a ON a.name OPERATOR(pg_catalog.=) v.name
WHERE v.name OPERATOR(pg_catalog.=) %s
"""
_LEADS_THERE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_extension_update_paths(%s)
    WHERE source OPERATOR(pg_catalog.=) %s AND target OPERATOR(pg_catalog.=) %s AND path IS NOT NULL)
"""
_HAS_SCHEMA = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) %s)"
_MAY_CREATE = """
SELECT r.rolname, r.rolsuper, pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
"""


@dataclass(frozen=True)
class _Offer:
    """A version that the server has the files of."""

    version: str
    is_default: bool
    needs_superuser: bool
    is_trusted: bool
    only_schema: str | None
    missing: Sequence[str]


@dataclass(frozen=True)
class _Work:
    """What one change consists of."""

    statements: Sequence[sql.Composed]
    offer: _Offer | None = None


class ExtensionOptions(StepModel):
    """The `with:` block of an extension step.

    Attributes:
        name: Name of the extension.
        version: The exact version; any installed one, or the server's default, if left out.
        schema_: The schema of its objects; any, or the first one in `search_path`, if left out.
    """

    name: str = Field(min_length=1)
    version: str | None = Field(None, min_length=1)
    schema_: str | None = Field(None, alias="schema", min_length=1)


class Extension(Step[ExtensionOptions], Bounded, ShowsSql):
    """Creates the extension if it is missing. `version` and `schema` are compared only where they are declared.

    An extension that the server does not offer, an unknown version and a move that the extension does not support are
    errors of the plan. A schema, or an extension that it requires, may be created by an earlier step.
    """

    uses = "extension"
    pure = True
    leaves_others_alone = True

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        wanted = self.options
        row = context.connection.execute(_INSTALLED, (wanted.name,)).fetchone()
        if row is None:
            return [self._missing_schema(context) or self._creation(context)]
        version, schema, is_relocatable = row
        before: dict[str, str | None] = {}
        after: dict[str, str | None] = {}
        if wanted.schema_ not in (None, schema):
            if not is_relocatable:
                raise self._failure(f"is in schema {schema} and cannot be moved", "Declare that schema.")
            before["schema"], after["schema"] = schema, wanted.schema_
        if wanted.version not in (None, version):
            self._require_update_path(context, version)
            before["version"], after["version"] = version, wanted.version
        if not after:
            return []
        work = _Work([*self._alterations(after)])
        change = Change.update(self._target, before=before, after=after, payload=work)
        return [self._missing_schema(context) or change]

    def bounds(self, context: Context, changes: Sequence[Change | Deferred]) -> Bounds | None:
        is_bare = self.options.version is None and self.options.schema_ is None
        if any(isinstance(item, Deferred) for item in changes) or (changes and is_bare):
            return None
        return Bounds(frozenset({Action.CREATE, Action.UPDATE}), 1)

    def findings(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Finding]:
        """Returns why the role may not be allowed to create it; providers have rules of their own for some roles."""
        offers = [payload_of(item, _Work).offer for item in changes if isinstance(item, Change)]
        row = context.connection.execute(_MAY_CREATE).fetchone() if any(offers) else None
        if row is None or row[1]:
            return ()
        role, _, may_create = row
        for offer in filter(None, offers):
            if offer.needs_superuser and not offer.is_trusted:
                remedy = "Create it as a superuser, unless the provider of the server lets this role do so."
                return [Finding(self._target, f"only a superuser can create it, and {role} is not one", remedy)]
            if not may_create:
                remedy = "Grant CREATE on the database, or create it as its owner."
                return [Finding(self._target, f"{role} lacks CREATE on the database", remedy)]
        return ()

    def with_sql(self, context: Context, changes: Sequence[Change | Deferred]) -> Sequence[Change | Deferred]:
        return [
            replace(item, after={**item.after, SQL: _text(context, payload_of(item, _Work))})
            if isinstance(item, Change)
            else item
            for item in changes
        ]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        for item in changes:
            if isinstance(item, Deferred):
                raise self._failure(f"needs {item.needs}: {item.reason}", "Create it in an earlier step.")
            try:
                for statement in payload_of(item, _Work).statements:
                    context.connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege as error:
                hint = error.diag.message_hint or "Only the owner of an extension can change it."
                raise self._failure(str(error.diag.message_primary), hint, error.sqlstate) from error

    @property
    def _target(self) -> str:
        return f"extension {self.options.name}"

    def _missing_schema(self, context: Context) -> Deferred | None:
        schema = self.options.schema_
        row = None if schema is None else context.connection.execute(_HAS_SCHEMA, (schema,)).fetchone()
        if row is None or row[0]:
            return None
        return self._deferred(f"schema {schema}")

    def _deferred(self, needs: str) -> Deferred:
        may = frozenset({Action.CREATE, Action.UPDATE})
        return Deferred(needs, "it does not exist", may=may, at_most=1, targets=(self._target,))

    def _creation(self, context: Context) -> Change | Deferred:
        wanted = self.options
        offers = self._offers(context)
        if not offers:
            raise self._failure("is not available on this server", "Install its package on the server.")
        version = wanted.version or next((each.version for each in offers if each.is_default), None)
        offer = next((each for each in offers if each.version == version), None)
        if offer is None:
            raise self._unknown_version(offers)
        if wanted.schema_ is not None and offer.only_schema not in (None, wanted.schema_):
            raise self._failure(f"can only be in schema {offer.only_schema}", "Declare that schema, or none.")
        if offer.missing:
            return self._deferred(f"extension {offer.missing[0]}")
        work = _Work([self._composed("CREATE EXTENSION {name}", *self._where())], offer)
        after = {"schema": wanted.schema_} if wanted.schema_ is not None else {}
        reason = f"not installed; the server offers {offer.version}"
        return Change.create(self._target, reason=reason, after=after, payload=work)

    def _where(self) -> Iterator[str]:
        if self.options.schema_ is not None:
            yield "SCHEMA {schema}"
        if self.options.version is not None:
            yield "VERSION {version}"

    def _alterations(self, after: dict[str, str | None]) -> Iterator[sql.Composed]:
        if "version" in after:
            yield self._composed("ALTER EXTENSION {name} UPDATE TO {version}")
        if "schema" in after:
            yield self._composed("ALTER EXTENSION {name} SET SCHEMA {schema}")

    def _composed(self, *parts: str) -> sql.Composed:
        wanted = self.options
        schema = sql.Identifier(wanted.schema_ or "")
        return sql.SQL(" ").join(
            sql.SQL(part).format(name=sql.Identifier(wanted.name), schema=schema, version=sql.Literal(wanted.version))
            for part in parts
        )

    def _require_update_path(self, context: Context, installed: str) -> None:
        name, version = self.options.name, self.options.version
        row = context.connection.execute(_LEADS_THERE, (name, installed, version)).fetchone()
        if row is not None and row[0]:
            return
        offers = self._offers(context)
        if version not in [each.version for each in offers]:
            raise self._unknown_version(offers)
        reason = f"cannot be updated from {installed} to {version}: the server has no script for it"
        raise self._failure(reason, "Declare a version that it can be updated to, or drop the extension first.")

    def _offers(self, context: Context) -> list[_Offer]:
        return [_Offer(*row) for row in context.connection.execute(_OFFERED, (self.options.name,)).fetchall()]

    def _unknown_version(self, offers: Sequence[_Offer]) -> StepFailedError:
        hint = f"Declare {listed(sorted(each.version for each in offers), 'or')}." if offers else None
        return self._failure(f"has no version {self.options.version or 'by default'} on this server", hint)

    def _failure(self, reason: str, hint: str | None, sqlstate: str | None = None) -> StepFailedError:
        return StepFailedError(f"{self._target} {reason}", hint=hint, source=self.source, sqlstate=sqlstate)


def _text(context: Context, work: _Work) -> str:
    return "\n".join(f"{statement.as_string(context.connection)};" for statement in work.statements)
