"""Message layouts as tables: one grammar for reading the long requests and for writing the long answers.

The fields of an order number more than a hundred and change with almost every server version; the tables say what is
where since when, and ``read`` and ``write`` walk them.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from backstay.simulator.fields import Fields, Unreadable
from backstay.simulator.settings import NEWEST_VERSION, OLDEST_VERSION

Rows = list[tuple[str, ...]]

ROWS_MAX = 1000
"""Repeated groups in one message; a longer list is a sign of fields read out of step."""

CONDITION_WIDTHS = {"1": 6, "3": 3, "4": 3, "5": 4, "6": 5, "7": 5}
"""Fields behind the type of an order condition: price, time, margin, execution, volume, percent change."""


@dataclass(slots=True)
class Record:
    """The values of one message by name, and its repeated groups."""

    values: dict[str, str] = field(default_factory=dict[str, str])
    rows: dict[str, Rows] = field(default_factory=dict[str, Rows])

    def get(self, name: str) -> str:
        """Return a value, empty when it was not there."""
        return self.values.get(name, "")

    def on(self, name: str) -> bool:
        """Whether a boolean value is set."""
        return self.get(name) not in ("", "0")


Test = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Plain:
    """One field, in the versions given; ``default`` is written when the record has none or an empty one."""

    name: str
    since: int = OLDEST_VERSION
    until: int = NEWEST_VERSION
    default: str = ""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A count, then so many groups of ``width`` fields; counts of optional groups may be missing behind a flag."""

    name: str
    width: int
    since: int = OLDEST_VERSION


@dataclass(frozen=True, slots=True)
class When:
    """Items that are there only when what came before says so."""

    test: Test
    items: "tuple[Item, ...]"


@dataclass(frozen=True, slots=True)
class Conditions:
    """An order's conditions: a count, groups whose width depends on their type, and two flags when there are any."""

    name: str = "conditions"
    since: int = 102


Item = Plain | Repeated | When | Conditions
Layout = tuple[Item, ...]


def plain(names: str, *, since: int = OLDEST_VERSION, until: int = NEWEST_VERSION, default: str = "") -> Layout:
    """Return fields in order, named by words."""
    return tuple(Plain(name, since, until, default) for name in names.split())


def flags(names: str, *, since: int = OLDEST_VERSION, until: int = NEWEST_VERSION) -> Layout:
    """Return boolean or whole fields, written as 0 when they are not known."""
    return plain(names, since=since, until=until, default="0")


def join(*parts: Iterable[Item]) -> Layout:
    """Return one layout of several."""
    return tuple(item for part in parts for item in part)


def read(layout: Layout, fields: Fields, version: int) -> Record:
    """Read a message by its layout; ``Unreadable`` when the fields do not fit it."""
    record = Record()
    _read(layout, fields, record, version=version)
    return record


def write(layout: Layout, record: Record, version: int) -> list[str]:
    """Return the fields of a message by its layout."""
    return list(_write(layout, record, version))


def _read(layout: Layout, fields: Fields, record: Record, *, version: int) -> None:
    for item in layout:
        match item:
            case Plain(name, since, until):
                if since <= version <= until:
                    record.values[name] = fields.text()
            case When(test, items):
                if test(record):
                    _read(items, fields, record, version=version)
            case Repeated(name, width, since):
                if version >= since:
                    record.rows[name] = [_take(fields, width) for _ in range(_count(fields))]
            case Conditions(name, since):
                if version >= since:
                    _read_conditions(fields, record, name)


def _read_conditions(fields: Fields, record: Record, name: str) -> None:
    rows: Rows = []
    for _ in range(_count(fields)):
        kind = fields.text()
        if kind not in CONDITION_WIDTHS:
            raise Unreadable(f"no order condition of type {kind}")
        rows.append((kind, *_take(fields, CONDITION_WIDTHS[kind])))
    record.rows[name] = rows
    if rows:
        record.rows[f"{name}_flags"] = [_take(fields, 2)]


def _count(fields: Fields) -> int:
    count = fields.integer()
    if not 0 <= count <= ROWS_MAX:
        raise Unreadable(f"a list of {count}")
    return count


def _take(fields: Fields, width: int) -> tuple[str, ...]:
    return tuple(fields.text() for _ in range(width))


def _write(layout: Layout, record: Record, version: int) -> Iterator[str]:
    for item in layout:
        match item:
            case Plain(name, since, until, default):
                if since <= version <= until:
                    yield record.values.get(name) or default
            case When(test, items):
                if test(record):
                    yield from _write(items, record, version)
            case Repeated(name, _, since):
                if version >= since:
                    yield from _write_rows(record.rows.get(name, []))
            case Conditions(name, since):
                if version >= since:
                    rows = record.rows.get(name, [])
                    yield from _write_rows(rows)
                    yield from itertools.chain(*(record.rows.get(f"{name}_flags", []) if rows else []))


def _write_rows(rows: Rows) -> Iterator[str]:
    yield str(len(rows))
    for row in rows:
        yield from row
