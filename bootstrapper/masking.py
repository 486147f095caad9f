"""Keeps secrets out of everything that is printed, logged or stored."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

MASK = "***"

_SHORTEST_SECRET = 4  # masking "1" or "no" wherever it stands would make messages unreadable


class Masker:
    """Replaces every secret it was told of. One per invocation: secrets are learnt as they are read."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def learn(self, secret: str | None) -> None:
        """Also learns the percent-encoded and quoted spellings that URLs and servers give the secret."""
        if secret is None or len(secret) < _SHORTEST_SECRET:
            return
        self._secrets |= {secret, quote(secret, safe=""), quote_plus(secret), secret.replace("'", "''")}

    def mask(self, text: str) -> str:
        """The text with every known secret replaced, longest first."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text
