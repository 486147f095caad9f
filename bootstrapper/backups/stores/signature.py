"""Signs manifests where a key is set, so that a dump replaced in the folder is noticed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path

from bootstrapper.backups.stores.manifest import Manifest
from bootstrapper.errors import GuardError

KEY_VARIABLE = "BOOTSTRAPPER_PLAN_KEY"
_PURPOSE = b"bootstrapper: the manifest of a backup\n"


def has_key(variables: Mapping[str, str]) -> bool:
    """Whether manifests have to be signed."""
    return bool(variables.get(KEY_VARIABLE))


def signed(manifest: Manifest, variables: Mapping[str, str]) -> Manifest:
    """The manifest with its signature; as it is where no key is set."""
    key = variables.get(KEY_VARIABLE)
    return replace(manifest, signature=_signature(manifest, key)) if key else manifest


def is_trusted(manifest: Manifest, variables: Mapping[str, str]) -> bool:
    """Whether it was signed with the key that is set; true where none is set."""
    key = variables.get(KEY_VARIABLE)
    return not key or hmac.compare_digest((manifest.signature or "").encode(), _signature(manifest, key).encode())


def require_trusted(manifest: Manifest, where: str, variables: Mapping[str, str]) -> None:
    """Raises GuardError where a key is set that did not sign it."""
    if is_trusted(manifest, variables):
        return
    if manifest.signature is None:
        raise GuardError(
            f"the manifest of {where} is not signed, and {KEY_VARIABLE} is set",
            hint=f"For a backup that was taken without a key and that you trust, unset {KEY_VARIABLE}.",
        )
    raise GuardError(
        f"the manifest of {where} was changed, or signed with another key than that of {KEY_VARIABLE}",
        hint="Restore another backup: `bootstrapper backups list`.",
    )


def require_own(manifest: Manifest, path: Path, variables: Mapping[str, str]) -> None:
    """Raises GuardError where a key is set and the manifest names another file: two signed backups were exchanged."""
    if has_key(variables) and manifest.file != path.name:
        raise GuardError(
            f"the manifest of {path} is that of {manifest.file}, and {KEY_VARIABLE} is set",
            hint="If you renamed the backup and its manifest, give both their old names.",
        )


def _signature(manifest: Manifest, key: str) -> str:
    digest = hmac.new(key.encode(errors="surrogateescape"), _PURPOSE + _canonical(manifest), hashlib.sha256)
    return digest.hexdigest()


def _canonical(manifest: Manifest) -> bytes:
    """What is signed: all that it says, in one form. A field that later versions add counts once it says something."""
    said = {
        name: value for name, value in asdict(manifest).items() if name not in _DEFAULTS or value != _DEFAULTS[name]
    }
    said.pop("signature", None)
    return json.dumps(said, default=str, sort_keys=True, separators=(",", ":")).encode()


def _defaults() -> dict[str, object]:
    """By name, of the fields that have one: older manifests lack these."""
    plain = {field.name: field.default for field in fields(Manifest) if field.default is not MISSING}
    made = {field.name: field.default_factory() for field in fields(Manifest) if field.default_factory is not MISSING}
    return plain | made


_DEFAULTS = _defaults()
