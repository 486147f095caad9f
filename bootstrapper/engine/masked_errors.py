"""Masks the errors that leave the engine, so that no caller can show a secret with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bootstrapper.errors import BootstrapperError
from bootstrapper.masking import Masker, masked
from bootstrapper.plugin.faults import text_of
from bootstrapper.plugin.quoting import quoting
from bootstrapper.text import error_lines, one_line


@contextmanager
def masked_errors(masker: Masker) -> Iterator[None]:
    """Masks, in place, an error that the block raises, with everything that it was raised from.

    What plugins make in it is masked as it is made.
    """
    try:
        with quoting(masker.quote):
            yield
    except BaseException as error:
        mask_error(error, masker)
        raise


def mask_error(error: BaseException, masker: Masker) -> None:
    """Masks the error and those behind it; one whose text cannot be changed is cut off from those it led to."""
    _mask_all(error, masker, set())


def _mask_all(error: BaseException, masker: Masker, seen: set[int]) -> None:
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        _mask_own(current, masker, seen)
        for name in ("__cause__", "__context__"):
            origin = getattr(current, name)
            if origin is None or id(origin) in seen:
                continue
            _mask_own(origin, masker, seen)
            if _shows_secret(origin, masker):
                setattr(current, name, None)
            else:
                waiting.append(origin)


def _mask_own(error: BaseException, masker: Masker, seen: set[int]) -> None:
    """Masks what the error holds. The texts of errors of others are quoted, not our own sentences."""
    mask = masker.mask if isinstance(error, BootstrapperError) else masker.quote
    error.args = masked(error.args, mask)
    for name, value in vars(error).items():
        if isinstance(value, BaseException):
            _mask_all(value, masker, seen)
        elif (found := masked(value, mask)) is not value:
            setattr(error, name, found)
    if isinstance(error, OSError):
        error.filename, error.filename2 = masked((error.filename, error.filename2), mask)


def _shows_secret(error: BaseException, masker: Masker) -> bool:
    """Returns whether the text of an error of others is not made of what was masked."""
    text = text_of(error)
    return not isinstance(error, BootstrapperError) and masker.quote(text) != text


def told(error: BaseException, masker: Masker) -> str:
    """Returns the error as it is shown and recorded."""
    if isinstance(error, BootstrapperError):
        return "\n".join(error_lines(error, masker.mask))
    return one_line(masker.quote(text_of(error)))
