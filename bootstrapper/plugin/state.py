"""What a step remembers from run to run."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bootstrapper.errors import FencedOffError
from bootstrapper.plans import JSONValue
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.postgres.ledger import step_states

_MOST_BYTES = 64 * 1024


class StepState:
    """A small JSON document that a step keeps in the ledger of the database, under its name in the file.

    It is there as long as the ledger is, whatever happens to the file. A restore brings the one of the backup; after
    `restore --in-place`, one that was written since the backup counts as never written.
    """

    __slots__ = ("_may_write", "_run")

    def __init__(self, run: RunContext, *, may_write: bool) -> None:
        self._run = run
        self._may_write = may_write

    def read(self) -> JSONValue:
        """Returns what the step wrote last; None if it never did.

        Any method with a context may call it. Raises RefusedError for a role that may not read the ledger.
        """
        return self._read(self._run.step)

    def of(self, step: str) -> JSONValue:
        """Returns what another step of the file wrote last, such as an earlier one for this one; None if it never did.

        Raises ValueError for a step that the file does not have.
        """
        if step not in self._run.project.steps:
            raise ValueError(f"the file has no step {step!r}")
        return self._read(step)

    def write(self, state: JSONValue) -> None:
        """Replaces what the step remembers; called by `apply`.

        It is committed with the changes of the transaction or, if the step is not transactional, at once; in both cases
        only while the lock is held. Raises ValueError for what is not JSON, needs more than 64 KiB or holds a secret,
        and RuntimeError anywhere but in `apply`.
        """
        text = self._text(state)
        hold = self._run.hold
        is_transactional = getattr(self._run.project.steps.get(self._run.step), "transactional", True)
        if hold is None or not self._may_write or (is_transactional and not hold.is_in_transaction):
            raise RuntimeError("context.state is written by `apply` alone")
        names, run_id, token = hold.fence.ledger, hold.fence.run_id, hold.fence.token
        if not step_states.write(hold.connection, names, self._run.step, text, run_id=run_id, token=token):
            raise FencedOffError("another run has taken the lock")

    def _read(self, step: str) -> JSONValue:
        project = self._run.project
        text = step_states.read(self._run.connection, project.ledger, step, project.target.where)
        found: JSONValue = json.loads(text) if text is not None else None
        return found

    def _text(self, state: JSONValue) -> str:
        """Returns the state as JSON in ASCII, which every server can store."""
        try:
            kept = json.loads(json.dumps(state, allow_nan=False))  # of keys that are equal as texts the last one
        except (TypeError, ValueError) as error:
            raise ValueError(f"the state of step {self._run.step!r} is not JSON: {error}") from error
        text = json.dumps(kept)
        if len(text) > _MOST_BYTES:
            raise ValueError(
                f"the state of step {self._run.step!r} has {len(text):,} bytes; {_MOST_BYTES:,} are allowed"
            )
        if any(self._run.masker.quote(part) != part for part in _parts(kept)):
            raise ValueError(f"the state of step {self._run.step!r} holds a secret, which the ledger never does")
        return text


def _parts(state: JSONValue) -> Iterator[str]:
    """Yields all texts and numbers in the state: in JSON, a text that is JSON itself is escaped beyond recognition."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield key
            yield from _parts(value)
    elif isinstance(state, list):
        for value in state:
            yield from _parts(value)
    else:
        yield str(state)
