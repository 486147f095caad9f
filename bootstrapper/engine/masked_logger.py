"""The logger of a step, which logs no secret to whatever handlers the program has."""

from __future__ import annotations

import logging
from traceback import format_exception

from bootstrapper.masking import Masker, masked


class MaskedLogger(logging.Logger):
    """Masks each record, then hands it to the logger of the same name; that one's level and handlers count."""

    def __init__(self, name: str, masker: Masker) -> None:
        super().__init__(name)
        self.parent = logging.getLogger(name)
        self._masker = masker

    def getChild(self, suffix: str) -> MaskedLogger:  # noqa: N802 - of the standard library
        return MaskedLogger(f"{self.name}.{suffix}", self._masker)

    def handle(self, record: logging.LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None  # a secret may be cut in two between them
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = "".join(format_exception(record.exc_info[1])).rstrip()
            record.exc_info = None  # else a handler would format the error itself
        vars(record).update(masked(vars(record), self._masker.quote))
        super().handle(record)
