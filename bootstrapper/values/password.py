"""`$password`: the hash of a password, made when the row is created and never again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrapper.step import Context, Value

_SCHEMES = {"argon2id": "argon2", "bcrypt": "bcrypt", "scrypt": "scrypt", "pbkdf2": "pbkdf2_sha256"}
_BCRYPT_BYTES = 72  # bcrypt ignores what comes after them, so that two passwords would be one


class Password(Value):
    """`$password: text`, or `$password: {value: text, scheme: argon2id}`.

    Schemes are argon2id (the default), bcrypt, scrypt and pbkdf2, with the parameters that passlib recommends.
    """

    key = "$password"
    secret = True
    create_only = True

    def resolve(self, context: Context, argument: Any) -> object:
        password, scheme = _parts(argument)
        context.masker.learn(password)
        if not password:
            raise ValueError("$password: the password is empty")
        if scheme == "bcrypt" and len(password.encode()) > _BCRYPT_BYTES:
            raise ValueError(f"$password: bcrypt takes at most {_BCRYPT_BYTES} bytes; use argon2id")
        if "\0" in password:
            raise ValueError("$password: the password holds a NUL character")
        from passlib.context import CryptContext  # noqa: PLC0415 - slow to import, needed for new rows only

        return str(CryptContext(schemes=[_SCHEMES[scheme]]).hash(password))


def _parts(argument: Any) -> tuple[str, str]:
    raw: Mapping[str, Any] = argument if isinstance(argument, Mapping) else {"value": argument}
    password, scheme = raw.get("value"), raw.get("scheme", "argon2id")
    if not set(raw) <= {"value", "scheme"} or not (isinstance(password, str) or password is None):
        raise ValueError("$password takes a text, or {value: text, scheme: argon2id}; write a number in quotes")
    if not isinstance(scheme, str) or scheme not in _SCHEMES:
        raise ValueError(f"$password: there is no scheme {scheme!r}; known are {', '.join(_SCHEMES)}")
    return password or "", scheme
