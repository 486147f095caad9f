"""Generated rows of the benchmark of rows, other than products. The same number always gives the same row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.tables import CUSTOMERS, FLIGHTS

_COUNTRIES = ("DE", "FR", "PL", "IT", "ES", "SE", "PT")
_CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9")
_ORIGINS = ("EWR", "JFK", "LGA")
_DESTINATIONS = ("ATL", "ORD", "LAX", "BOS", "MCO", "CLT", "SFO", "FLL", "MIA", "DCA", "DTW")
_FLIGHTS_PER_HOUR = 39


def write_places(file: Path, rows: int) -> None:
    """JSON lines."""
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(place) + "\n" for place in _places(rows))


def write_flights(file: Path, rows: int) -> None:
    """CSV with an empty field for NULL; the columns are those of the data set of flights from New York in 2013."""
    _write_csv(file, FLIGHTS.columns, _flights(rows))


def write_customers(file: Path, rows: int) -> None:
    """CSV."""
    _write_csv(file, CUSTOMERS.columns, _customers(rows))


def write_customers_yaml(file: Path, rows: int) -> None:
    """A list of rows in block style; text is in quotes."""
    with file.open("w", encoding="utf-8") as stream:
        for customer in _customers(rows):
            pairs = zip(CUSTOMERS.columns, customer, strict=True)
            stream.write("- " + "  ".join(f"{column}: {json.dumps(value)}\n" for column, value in pairs))


def write_orders(file: Path, rows: int, customers: int) -> None:
    """CSV; the customer is given by its code."""
    orders = (
        (f"O-{number:07}", _customer(_scatter(number) % customers), f"{number % 9000}.{number % 100:02}", _day(number))
        for number in range(rows)
    )
    _write_csv(file, ("number", "customer", "total", "placed_on"), orders)


def _places(rows: int) -> Iterator[Mapping[str, object]]:
    for number in range(rows):
        scattered = _scatter(number)
        yield {
            "code": f"PL-{scattered:010}",
            "name": f"Place {scattered % 99_991} upon River {scattered % 97}",
            "country": _COUNTRIES[scattered % 7],
            "latitude": scattered % 9_000_000 / 100_000,
            "longitude": scattered % 17_900_000 / 100_000,
            "population": None if scattered % 10 == 0 else scattered % 1_000_000,
            "is_capital": scattered % 50 == 0,
            "founded_on": _day(scattered),
            "tags": {"river": scattered % 3 == 0, "rank": scattered % 900},
        }


def _flights(rows: int) -> Iterator[Sequence[object]]:
    for number in range(rows):
        scattered = _scatter(number)
        at = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=number // _FLIGHTS_PER_HOUR)
        place = number % _FLIGHTS_PER_HOUR
        minute, delay, air_time = scattered % 60, scattered % 90 - 10, scattered % 300 + 40
        departure, arrival = at + timedelta(minutes=minute), at + timedelta(minutes=minute + air_time + 30)
        is_cancelled = scattered % 41 == 0
        yield (
            *(at.year, at.month, at.day),
            "" if is_cancelled else _clock(departure + timedelta(minutes=delay)),
            _clock(departure),
            "" if is_cancelled else delay,
            "" if is_cancelled else _clock(arrival + timedelta(minutes=delay)),
            _clock(arrival),
            "" if is_cancelled else delay - scattered % 7,
            _CARRIERS[place % len(_CARRIERS)],
            place * 100 + scattered % 100,
            f"N{scattered % 4_000:05}",
            _ORIGINS[scattered % 3],
            _DESTINATIONS[scattered % 11],
            "" if is_cancelled else air_time,
            air_time * 7,
            *(at.hour, minute),
            f"{at:%Y-%m-%dT%H:%M:%SZ}",
        )


def _customers(rows: int) -> Iterator[Sequence[object]]:
    for number in range(rows):
        scattered = _scatter(number)
        name = f"Customer {number}, branch {scattered % 997}"
        yield _customer(number), name, _COUNTRIES[number % 7], _day(scattered), scattered % 5_000


def _scatter(number: int) -> int:
    return (number + 1) * 2654435761 % 2**32


def _customer(number: int) -> str:
    return f"C-{number:06}"


def _day(number: int) -> str:
    return str(date(1925, 1, 1) + timedelta(days=number % 36_000))


def _clock(at: datetime) -> str:
    """The local time as the data set has it: 517 is 5:17."""
    return str(at.hour * 100 + at.minute)


def _write_csv(file: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
