"""Times as files and command lines write them."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from bootstrapper.config.unit_fields import Age, Seconds


@pytest.mark.parametrize("text", ["99999999999999999999h", "25d", "5\u0669s", "\uff15s", "1e3s", "-5s", "inf", 5])
def test_a_time_limit_that_is_too_long_or_not_a_time_is_refused(text: object) -> None:
    with pytest.raises(ValidationError, match=r"is not a time|is too long; the maximum is 24d"):
        TypeAdapter(Seconds).validate_python(text)


def test_an_age_may_exceed_a_time_limit_but_not_the_calendar() -> None:
    assert TypeAdapter(Age).validate_python("400d") == 400 * 86400
    with pytest.raises(ValidationError, match="is too long; the maximum is 36500d"):
        TypeAdapter(Age).validate_python("99999999999999d")


def test_a_time_of_thousands_of_digits_is_cut_in_the_error() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Seconds).validate_python("9" * 5000 + "h")
    assert len(caught.value.errors()[0]["msg"]) < 200
