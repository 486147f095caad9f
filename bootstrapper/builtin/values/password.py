"""`$password`: the hash of a password, made when the row is created; replaced later only with `rotate: true`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.value import UNKNOWN, Value

_SCHEMES = {"argon2id": "argon2", "bcrypt": "bcrypt", "scrypt": "scrypt", "pbkdf2": "pbkdf2_sha256"}
_PREFIXES = {"argon2id": "$argon2id$"}  # passlib takes argon2i and argon2d for the same scheme
_BCRYPT_BYTES = 72  # bcrypt ignores what comes after them, so that two passwords would be one


class Password(Value):
    """`$password: text`, or `$password: {value: text, scheme: argon2id, rotate: true}`.

    Schemes are argon2id (the default), bcrypt, scrypt and pbkdf2, with the parameters that passlib recommends. With
    `rotate: true`, in modes update and sync, a stored hash of another scheme or another password is replaced. Each run
    then verifies the password of each such row, which takes as long as a login.
    """

    key = "$password"
    secret = True
    create_only = True

    def check(self, argument: Any) -> None:
        _require_fit(*_parts(argument))

    def resolve(self, context: Context, argument: Any) -> object:
        run = run_of(context)
        password, scheme = _checked(run, argument)
        from passlib.context import CryptContext  # noqa: PLC0415 - slow to import, needed for new hashes only

        return str(CryptContext(schemes=[_SCHEMES[scheme]]).hash(password))

    def is_compared(self, argument: Any) -> bool:
        rotate = argument.get("rotate", False) if isinstance(argument, Mapping) else False
        if not isinstance(rotate, bool):
            raise ValueError("$password: rotate is true or false")
        return rotate

    def holds(self, context: Context, argument: Any, stored: str | None) -> bool:
        """Returns whether the stored text is a hash of this password by this scheme."""
        run = run_of(context)
        password, scheme = _checked(run, argument)
        if not stored or not stored.startswith(_PREFIXES.get(scheme, "")):
            return False
        from passlib.context import CryptContext  # noqa: PLC0415 - slow to import, needed for `rotate` only

        hashes = CryptContext(schemes=[_SCHEMES[scheme]])
        try:
            return hashes.identify(stored) is not None and bool(hashes.verify(password, stored))
        except ValueError:  # a damaged hash
            return False


def _checked(context: RunContext, argument: Any) -> tuple[str, str]:
    """Returns the password and its scheme; raises ValueError, without the password, for an unsafe one."""
    password, scheme = _parts(argument)
    context.masker.learn(password)
    _require_fit(password, scheme)
    return password, scheme


def _require_fit(password: Any, scheme: Any) -> None:
    if password is UNKNOWN:
        return
    if not password:
        raise ValueError("$password: the password is empty")
    if "\0" in password:
        raise ValueError("$password: the password contains a NUL character")
    size = len(_encoded(password))
    if scheme == "bcrypt" and size > _BCRYPT_BYTES:
        raise ValueError(f"$password: bcrypt takes at most {_BCRYPT_BYTES} bytes; use argon2id")


def _encoded(password: str) -> bytes:
    try:
        return password.encode()
    except UnicodeEncodeError:
        raise ValueError("$password: the password is not valid UTF-8") from None


def _parts(argument: Any) -> tuple[Any, Any]:
    """Returns the password and the scheme as strings, or UNKNOWN."""
    raw: Mapping[str, Any] = argument if isinstance(argument, Mapping) else {"value": argument}
    password, scheme = raw.get("value"), raw.get("scheme", "argon2id")
    is_text = password is None or password is UNKNOWN or isinstance(password, str)
    if not set(raw) <= {"value", "scheme", "rotate"} or not is_text:
        raise ValueError("$password takes a text, or {value: text, scheme: argon2id}; write a number in quotes")
    if scheme is not UNKNOWN and not (isinstance(scheme, str) and scheme in _SCHEMES):
        raise ValueError(f"$password: unknown scheme {scheme!r}; known are {', '.join(_SCHEMES)}")
    return password or "", scheme
