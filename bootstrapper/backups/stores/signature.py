"""Signs manifests if a key is set, so that a replaced dump is detected."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path

from bootstrapper.backups.stores.manifest import Manifest
from bootstrapper.errors import GuardError
from bootstrapper.plans.saved import KEY_VARIABLE

_PURPOSE = b"bootstrapper: the manifest of a backup\n"


def has_key(variables: Mapping[str, str]) -> bool:
    """Returns whether manifests must be signed."""
    return bool(variables.get(KEY_VARIABLE))


def signed(manifest: Manifest, variables: Mapping[str, str]) -> Manifest:
    """Returns the manifest with its signature; unchanged if no key is set."""
    key = variables.get(KEY_VARIABLE)
    return replace(manifest, signature=_signature(manifest, key)) if key else manifest


def is_trusted(manifest: Manifest, variables: Mapping[str, str]) -> bool:
    """Returns whether the manifest was signed with the key; true if no key is set."""
    key = variables.get(KEY_VARIABLE)
    return not key or hmac.compare_digest((manifest.signature or "").encode(), _signature(manifest, key).encode())


def require_trusted(manifest: Manifest, where: str, variables: Mapping[str, str]) -> None:
    """Raises GuardError if a key is set and the manifest was not signed with it."""
    if is_trusted(manifest, variables):
        return
    if manifest.signature is None:
        raise GuardError(
            f"the manifest of {where} is not signed, and {KEY_VARIABLE} is set",
            hint=f"Unset {KEY_VARIABLE} for a backup that was taken without a key and that you trust.",
        )
    raise GuardError(
        f"the signature of the manifest of {where} does not match the key in {KEY_VARIABLE}",
        hint="Choose another backup from `bootstrapper backups list`.",
    )


def require_own(manifest: Manifest, path: Path, variables: Mapping[str, str]) -> None:
    """Raises GuardError if a key is set and the manifest names another file: two signed backups were swapped."""
    if has_key(variables) and manifest.file != path.name:
        raise GuardError(
            f"the manifest of {path} belongs to {manifest.file}, and {KEY_VARIABLE} is set",
            hint="If you renamed the backup and its manifest, rename both back.",
        )


def _signature(manifest: Manifest, key: str) -> str:
    digest = hmac.new(key.encode(errors="surrogateescape"), _PURPOSE + _canonical(manifest), hashlib.sha256)
    return digest.hexdigest()


def _canonical(manifest: Manifest) -> bytes:
    """Returns the signed text: all fields in one form, without those at their default, which older manifests lack."""
    content = {
        name: value for name, value in asdict(manifest).items() if name not in _DEFAULTS or value != _DEFAULTS[name]
    }
    content.pop("signature", None)
    return json.dumps(content, default=str, sort_keys=True, separators=(",", ":")).encode()


def _defaults() -> dict[str, object]:
    """Returns the default values by field."""
    plain = {field.name: field.default for field in fields(Manifest) if field.default is not MISSING}
    made = {field.name: field.default_factory() for field in fields(Manifest) if field.default_factory is not MISSING}
    return plain | made


_DEFAULTS = _defaults()
