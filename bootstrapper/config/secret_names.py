"""Tells by its name whether a variable, a setting or a column holds a secret or a hash; by its form, whether a text is
a hash."""

from __future__ import annotations

import re
from functools import cache

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PASSWORDS = frozenset({"password", "passwords", "passwd", "passphrase", "passcode", "pwd"})
_SECRETS = frozenset({"secret", "secrets", "salt", "otp", "totp", "credential", "credentials", "apikey", "privatekey"})
_LAST = frozenset({"token", "tokens", "pass"})
_ENDINGS = ("password", "passwd", "secret", "token", "apikey")
_KEYS = frozenset({"api", "private", "secret", "access", "account", "encryption", "signing", "master"})
FORMS = frozenset({"hash", "hashed", "digest", "encrypted", "value", "sha", "256"})
"""Words of a name that tell in which form a secret is stored."""
_HASH_ENDINGS = ("hash", "hashed", "digest", "password", "passwd", "pwd", "passphrase")
_ABOUT = frozenset(
    {
        *("age", "algo", "algorithm", "at", "by", "count", "enabled", "expiry", "expires", "file", "fields", "hint"),
        *("id", "length", "max", "method", "min", "name", "on", "path", "policy", "required", "scheme", "seconds"),
        *("ttl", "type", "url", "user", "username", "version"),
    }
)
"""Last words of names of attributes of a secret or a hash."""
_OPEN_KEYS = frozenset({"public", "primary", "foreign", "natural", "unique", "partition", "sort", "cache", "object"})
_FOLDERS = frozenset({"PWD", "OLDPWD"})  # set by the shell

_HASHES = re.compile(
    r"""
    \$                                          # $argon2id$, $2b$, $6$
    | [!*]{1,2}($|\$|[A-Za-z0-9]{40}$)          # a locked account
    | \{[A-Za-z0-9._-]+\}                       # {SSHA}, {bcrypt}
    | (pbkdf2|argon2|bcrypt|scrypt|crypt|md5|sha\d+|unsalted|SCRAM-SHA-256)[a-z0-9_]*[:$].  # pbkdf2_sha256$600000$
    | (\\x|md5|[a-z0-9]+:)?[0-9A-Fa-f]{32,}$
    | (?=.{40}|.{22}[^=]?=)[A-Za-z0-9+/_-]{22,}={0,2}$  # base64
    """,
    re.VERBOSE,
)


def words(name: str) -> list[str]:
    """Returns the words of a name in lower case: API_KEY, apiKey and api-key are `api` and `key`."""
    return [word.lower() for word in _WORDS.findall(name)]


def speaks_of_password(name: str) -> bool:
    """Whether a name speaks of a password, hashed or not: password_hash, pwd_changed_at."""
    return bool(_PASSWORDS & set(words(name)))


@cache
def speaks_of_secret(name: str) -> bool:
    """Whether a name speaks of a password, a token, a key, or what is derived from one: password_hash, API_KEY."""
    found = words(name) or [name]
    bare = [word for word in found if word not in FORMS] or found
    is_key = bare[-1] == "key" and len(bare) > 1 and bare[-2] in _KEYS
    is_last = bare[-1] in _LAST or bare[-1].endswith(_ENDINGS)
    return bool((_PASSWORDS | _SECRETS) & set(found)) or is_last or is_key


@cache
def is_secret_name(name: str) -> bool:
    """Whether what has this name is itself a secret: DB_PASSWORD, not PASSWORD_MIN_LENGTH or TOKEN_FILE."""
    last = words(name)[-1:]
    return bool(last) and last[0] not in _ABOUT and speaks_of_secret(name)


@cache
def is_secret_variable(name: str) -> bool:
    """Whether a variable of this name is a secret; any key is, unless it is named as public or as a database's."""
    if name in _FOLDERS:
        return False
    *before, last = words(name) or [""]
    return is_secret_name(name) or (last == "key" and bool(before) and before[-1] not in _OPEN_KEYS)


@cache
def is_hash_column(name: str) -> bool:
    """Whether the name suggests a hash: password_hash, encryptedPassword, pwd, sha_digest; not password_set_at."""
    found = words(name)
    if not found or found[-1] in _ABOUT or found[-1] == "salt":
        return False
    return found[-1].endswith(_HASH_ENDINGS) or any(word.endswith("hash") for word in found)


def may_be_password(raw: object, *, interpolated: bool) -> bool:
    """Whether a single value may be a password in plain text; one with variables may, whatever they hold."""
    text = "" if raw is None or isinstance(raw, bool | list) else str(raw)
    return bool(text) and ((interpolated and "${" in text) or not looks_hashed(text))


def looks_hashed(text: str) -> bool:
    """Whether the text has the form of a hash; in doubt it has not, so that a password is not taken for one."""
    return _HASHES.match(text) is not None
