"""The configuration as people may see it: what `config show` prints, without the secrets that stand in the file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

import yaml

from bootstrapper.fixtures.hashes import is_hash_column, may_be_password
from bootstrapper.masking import MASK

_URL_PASSWORD = re.compile(r"(://[^:/@\s]*:)(?!\$\{)[^@\s]+(?=@)")
_REFERENCE = re.compile(r"\$\{(\w+)(:-|:\?)?[^}]*\}")
_SECRET_KEYS = frozenset({"password", "sslpassword"})
_OPEN_KEYS = frozenset({"scheme", "rotate"})  # beside a secret, and none itself


class _Dumper(yaml.SafeDumper):
    """Writes numbers as the file had them, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_multi_representer(
    Decimal, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", str(number))
)


def disclose(data: Any, secret_functions: Collection[str]) -> str:
    """YAML with variables unresolved; below a secret function or key, only the names of variables are left."""
    shown = _shown(data, _SECRET_KEYS.union(secret_functions))
    return yaml.dump(shown, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)


def _shown(raw: Any, secret: Collection[str]) -> Any:
    if isinstance(raw, Mapping):
        hidden = {key for key, item in raw.items() if key in secret or _is_plain_password(key, item)}
        return {key: _masked(item) if key in hidden else _shown(item, secret) for key, item in raw.items()}
    if isinstance(raw, list):
        return [_shown(item, secret) for item in raw]
    return _URL_PASSWORD.sub(rf"\1{MASK}", raw) if isinstance(raw, str) else raw


def _is_plain_password(key: Any, raw: Any) -> bool:
    return not isinstance(raw, Mapping) and is_hash_column(str(key)) and may_be_password(raw, interpolated=True)


def _masked(raw: Any) -> Any:
    """Value functions and variables stay, since they only say where the secret comes from."""
    if isinstance(raw, Mapping):
        return {key: item if key in _OPEN_KEYS else _masked(item) for key, item in raw.items()}
    if isinstance(raw, list):
        return [_masked(item) for item in raw]
    references = [_without_default(match) for match in _REFERENCE.finditer(str(raw))]
    return " ".join(references) or MASK


def _without_default(match: re.Match[str]) -> str:
    return f"${{{match[1]}:-{MASK}}}" if match[2] == ":-" else f"${{{match[1]}}}"
