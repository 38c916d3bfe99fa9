"""Check that every expression of rules and dashboards parses, with a parser that is not Prometheus's own.

python -m deploy.watch.check_promql
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import promql_parser

from deploy.watch.alerts import ALERTS
from deploy.watch.dashboards import files
from deploy.watch.model import REAL_TIME
from deploy.watch.panel_rules import expressions, filled
from deploy.watch.records import RECORDS

WRONG = ("rate(backstay_disconnects_total)", "sum by (connection (x)", "a and on (job) group_left (b) c")
"""None of these may pass: a parser that takes anything proves nothing."""


def _all() -> Iterator[tuple[str, str]]:
    for record in RECORDS:
        yield record.name, REAL_TIME.expression(record.expr)
    for alert in ALERTS:
        yield alert.key, REAL_TIME.expression(alert.expr)
    for text in files().values():
        yield from ((place, filled(expr)) for place, expr in expressions(json.loads(text)))


def _fault(expr: str) -> str:
    try:
        promql_parser.parse(expr)
    except ValueError as error:
        return str(error)
    return ""


def main() -> int:
    """Exit code 1 if one does not parse, or if one that is wrong does."""
    problems = [f"{place}: {fault}" for place, expr in _all() if (fault := _fault(expr))]
    problems += [f"{expr} is taken for an expression" for expr in WRONG if not _fault(expr)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
