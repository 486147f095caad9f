"""A plan in a file: a reviewer approves it, and `apply` makes exactly its changes or refuses.

Its digest covers everything in it and identifies it in the ledger; its signature shows that a holder of the key made
it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self
from uuid import UUID

from bootstrapper.dataclass import dataclass
from bootstrapper.plans.plan import Plan
from bootstrapper.text import dumps

KEY_VARIABLE = "BOOTSTRAPPER_PLAN_KEY"

_PURPOSE = b"bootstrapper plan\0"  # the key may sign other things as well


@dataclass(frozen=True)
class SavedPlan:
    """A plan as a file holds it.

    Attributes:
        digest: SHA-256 over the canonical form of the plan, as the file states it.
        signature: HMAC-SHA256 over the same, in hexadecimal; None if no key was set.
        is_intact: Whether the file is what `to_json` wrote: then no key that is unknown, or stands there twice, shows
            a reviewer something else.
    """

    plan: Plan
    digest: str
    signature: str | None
    is_intact: bool = True

    @classmethod
    def of(cls, plan: Plan, key: str | None) -> Self:
        """Signs the plan if there is a key."""
        content = _canonical(plan.to_data())
        return cls(plan, hashlib.sha256(content).hexdigest(), _signature(content, key) if key else None)

    def to_json(self) -> str:
        return dumps({**self.plan.to_data(), "digest": self.digest, "signature": self.signature}) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError if the text is not a saved plan of this format version."""
        data = json.loads(text)
        plan = Plan.from_data(data)
        digest, signature = data.get("digest"), data.get("signature")
        if not isinstance(digest, str) or not isinstance(signature, str | None):
            raise ValueError("not a saved plan: no digest")
        if plan.last_run is not None:
            UUID(plan.last_run)
        saved = cls(plan, digest, signature)
        is_intact = digest == cls.of(plan, None).digest and text == saved.to_json()
        return replace(saved, is_intact=is_intact)

    def is_signed_with(self, key: str) -> bool:
        """Returns whether a holder of the key signed this content."""
        known = _signature(_canonical(self.plan.to_data()), key)
        given = (self.signature or "").encode(errors="backslashreplace")  # as text it would have to be ASCII
        return self.is_intact and hmac.compare_digest(known.encode(), given)


def _signature(content: bytes, key: str) -> str:
    return hmac.new(key.encode(errors="surrogateescape"), _PURPOSE + content, hashlib.sha256).hexdigest()


def _canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
