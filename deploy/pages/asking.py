"""The page about what an application of the library may ask for, and what it then gets: from the tables of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backstay import events
from backstay.protocol.builders import BUILDERS, HIGHEST_BUILT, LOWEST_BUILT, UNSET_INTEGER, Builder, FieldRow
from backstay.protocol.vocabulary import Kind
from deploy.pages.api import first_words

HEAD = f"""# Requests and events of the library

Written by `python -m deploy.pages.generate` from the table of [`builders.py`](../protocol/builders.py) and the classes
of [`events.py`](../protocol/events.py); a test compares. How they are used is told in [the library](library.md).

## Requests

By the name that `connection.request`, `submit` and `subscribe` take. Values are given by name; one without a default
has to be given. `contract` is a [Contract](api.md#backstaycontract). A text is what TWS takes there, in its own words:
*2 D* as a `duration`, *1 min* as a `bar_size`. Market data with `snapshot=True` are asked for with `request`, bars with
`keep_up_to_date=True` with `subscribe`. Server versions {LOWEST_BUILT} to {HIGHEST_BUILT}; a value that came later is
left out before.

| request | how | values |
|---|---|---|"""

HOW: Mapping[Kind, str] = {
    Kind.SETTING: "`request`: nothing is answered; it holds for later sockets too",
    Kind.ONESHOT: "`request`: one event",
    Kind.SNAPSHOT: "`request`: a list of events",
    Kind.STREAM: "`subscribe`",
    Kind.ORDER: "`connection.{name}`",
    Kind.ORDER_CANCEL: "`connection.{name}`, which takes the trade",
    Kind.COMMAND: "`request`: nothing is answered, and it is never repeated",
}

EVENTS = """
## Events

What a stream yields and a request returns, as classes of `backstay.events`. A message of TWS that has no class of its
own comes as a `Message`.

| event | fields | |
|---|---|---|"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join((HEAD, *map(_request, BUILDERS.values()), EVENTS, *map(_event, events.__all__), ""))


def _request(builder: Builder) -> str:
    how = HOW[builder.request.kind].format(name=builder.name)
    if builder.request.kind is Kind.ORDER_CANCEL:
        return f"| `{builder.name}` | {how} | - |"
    values = (["`contract`"] if builder.takes_contract else []) + list(_values(builder.rows))
    return f"| `{builder.name}` | {how} | {', '.join(values) or '-'} |"


def _values(rows: tuple[FieldRow, ...]) -> Iterator[str]:
    for row in rows:
        if row.name:
            default = "" if row.required else f" = {'unset' if row.default == UNSET_INTEGER else repr(row.default)}"
            since = f" (from {row.since})" if row.since else ""
            yield f"`{row.name}: {row.kind}{default}`{since}"


def _event(name: str) -> str:
    kind = getattr(events, name)
    fields = ", ".join(f"`{field}`" for field in kind._fields)
    return f"| `{name}` | {fields or '-'} | {first_words(kind)} |"
