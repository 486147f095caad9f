"""Prints the configuration for `config show`, without the secrets in the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

import yaml

from bootstrapper.config.secret_names import is_hash_column, is_secret_name, may_be_password
from bootstrapper.config.sensitive import hidden, hidden_words, sources
from bootstrapper.dataclass import dataclass
from bootstrapper.engine.secrets import OPEN_KEYS
from bootstrapper.plugin.inspect import call_of

_LITERAL = "$literal"  # its argument is the value itself


class _Dumper(yaml.SafeDumper):
    """Writes numbers as the file had them, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_multi_representer(
    Decimal, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", str(number))
)


def disclose(data: Mapping[str, Any], secret_functions: Collection[str]) -> str:
    """Returns YAML with variables unresolved; of a secret, only the names of variables are left."""
    disclosure = _Disclosure(secret_functions, in_rows=False)
    rows = _Disclosure(secret_functions, in_rows=True)
    shown = {key: (rows if key == "fixtures" else disclosure).shown(key, item) for key, item in data.items()}
    return yaml.dump(shown, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)


@dataclass(frozen=True)
class _Disclosure:
    """Attributes:
    functions: Keys of the value functions whose argument is not shown.
    in_rows: Whether it is about rows of fixtures, where a column may be meant to hold a hash.
    """

    functions: Collection[str]
    in_rows: bool

    def shown(self, key: Any, item: Any) -> Any:
        """Returns what stands below a key."""
        return self._masked(item) if self._is_hidden(str(key), item) else self._open(item)

    def _open(self, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            return {key: self.shown(key, item) for key, item in raw.items()}
        if isinstance(raw, list):
            words = hidden_words(raw) if all(isinstance(item, str) for item in raw) else raw
            return [self._open(item) for item in words]
        return hidden(raw) if isinstance(raw, str) else raw

    def _is_hidden(self, key: str, raw: Any) -> bool:
        """A name that speaks of a secret hides a single value: a mapping may be a fixture that has this name."""
        if key in self.functions:
            return True
        if raw is None or isinstance(raw, bool) or (isinstance(raw, Mapping) and call_of(raw) is None):
            return False
        if not self.in_rows:
            return is_secret_name(key)
        if isinstance(raw, Mapping):
            return False
        return may_be_password(raw, interpolated=True) if is_hash_column(key) else is_secret_name(key)

    def _masked(self, raw: Any) -> Any:
        """Value functions and variables stay, since they only say where the secret comes from."""
        call = call_of(raw)
        if call is not None and call[0] not in (*self.functions, _LITERAL):
            return self._open(raw)
        if isinstance(raw, Mapping):
            return {key: item if key in OPEN_KEYS else self._masked(item) for key, item in raw.items()}
        if isinstance(raw, list):
            return [self._masked(item) for item in raw]
        return raw if raw is None or isinstance(raw, bool) else sources(str(raw))
