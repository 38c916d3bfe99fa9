"""The reference of all metrics: `python -m backstay.metrics.reference > docs/metrics.md` writes it."""

from __future__ import annotations

import sys

from backstay.metrics.catalogue import CATALOGUE, Metric, Scope

HEAD = """# Metrics

What `/metrics` shows, and what the collector adds to a registry of your own. Written from `metrics/catalogue.py` by
`python -m backstay.metrics.reference > docs/metrics.md`; a test compares both. Beside these stand the `process_*`,
`python_info` and `python_gc_*` of the client library. Names and labels are a contract: rows are added, none is
renamed.

## How to read them

- Every value of a closed label exists from the start at 0, so that `increase()` sees the first event. The one
  exception is `backstay_request_duration_seconds`: the histogram of an operation begins with the first request of it.
- No label holds a symbol, an order or request id, an account number or the text of an error. Open labels are bounded:
  farms by 50 and then `other`, actors by what runs, connections as follows.
- **Connections** are shown while they are there, and for 15 minutes after they have gone; of each relay, and of the
  configuration, at most 32 of those that have gone, the latest. A name that comes back later begins at 0. There are
  never more at a time than `max_clients` of each relay, the connections of the configuration, and those.
- A time is when something happened, in seconds since 1970, never how long ago; 0 where it has not happened.
- **Availability** is exact: `1 - rate(backstay_connection_unavailable_seconds_total[30d]) /
  rate(backstay_connection_expected_seconds_total[30d])`. Both counters run on to the moment of the scrape.
- A client's connection is named `RELAY/CLIENT_ID`. The client that comes back under its id within that time goes on
  with the counts of before.
- **`RELAY/waiting`** stands for the clients of a relay that no gateway has answered, so that nobody knows their ids
  yet, and for 5 minutes after the last one has left without a gateway also for those that will try again: the gateway
  is wanted, and not there. It is not usable ever, and is not expected once the gateway answers anybody. With no client
  for longer, and no connection of the configuration, nobody wants the gateway and nobody looks at it.
- **Orders in doubt** are counted from the journal too, whether their client is there or not and also after a restart.
  At most 32 names that are not there are shown for that; the orders of more are counted under `RELAY/other`.
- **Journal usable** is 1 before the first order as well. A full journal is looked at every five seconds. There is no
  such series where nobody may place orders.
- **Requests** are those of clients that are answered: reads, streams, orders and cancels of orders. One counts when
  it is first sent, and once. It fails if it ends in an error, is given up, or if its answer is cut off half way.
  Refused here, it counts as rejected and not as sent. An order whose socket is lost has not failed: it is in doubt.
- **Subscriptions** are the streams that clients want: `pending` (not seen to flow since it was last asked for on this
  socket), `active`, `stale` (has flowed, and may have stopped: IB's link or its farm is down, or it has not shown
  since), `failed` (shows no sign however often it is asked for, which takes some four minutes). Their sum is what is
  wanted.
- **The oldest update**: no tick is watched, since that would cost something for each. Once a minute every stream that
  flows by itself is looked at for a second. Of those of a kind this is the time at which one was seen, that of the
  stream for which it is longest ago. An instrument that seldom trades is seldom seen.
- **Delivery delay** is measured once a chunk (one `recv`): from the read to when the sink has been given its bytes.
- **Mailbox wait** is measured of one message at a time.
- **Clock skew**: TWS tells whole seconds, so half a second says nothing. While a connection is down it is what was
  measured last.
- **API errors** are what the gateway complains of. That a farm is well, asleep or on its way (2104, 2106, 2107, 2108,
  2119, 2120, 2158) comes as an error message as well, and is not counted.
- **Circuit open**: the connection is parked. Something is wrong that a person has to mend; it is tried once a minute
  all the same.
- **Events dropped** are the frames that a client of a relay had not been given when it was cut off for not reading, and
  what a subscriber of the library missed because its queue was full.

## In a registry of your own

```python
from prometheus_client import CollectorRegistry

from backstay.watching import collector

registry = CollectorRegistry()
registry.register(collector(manager))
```

The manager is read when the registry is scraped. `/metrics` of the daemon is written by a renderer of its own, which
says the same, sample for sample, at a fraction of the cost.

## All of them
"""

SCOPES = {
    Scope.PROCESS: "The process",
    Scope.CONNECTION: "Connections",
    Scope.SUPERVISOR: "Supervisors",
    Scope.ACTOR: "Actors",
    Scope.COLLECTOR: "The reading itself",
}


def labels(metric: Metric) -> str:
    """The labels, each with its values where these are a closed set."""
    closed = dict(zip(metric.labels, metric.values, strict=False))
    shown = [f"`{name}`" for name in metric.scope.labels]
    for name in metric.labels:
        values = f": {', '.join(closed[name])}" if closed.get(name) else ""
        shown.append(f"`{name}`{values}")
    return "; ".join(shown)


def reference() -> str:
    """The whole page."""
    lines = [HEAD]
    for scope, title in SCOPES.items():
        lines += [f"### {title}", "", "| metric | type | unit | labels | meaning |", "|---|---|---|---|---|"]
        for metric in (metric for metric in CATALOGUE if metric.scope is scope):
            lines.append(
                f"| `{metric.name}` | {metric.kind.value} | {metric.unit.value} | {labels(metric)} | {metric.help} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(reference())
