"""Check that the dashboards fit Grafana's published TypeScript types, and that a misspelt key is found.

    python -m deploy.watch.check_types

Fetches the two packages with npm into a temporary folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.typescript import compiled, types
from deploy.watch.dashboards import files

SOURCE = Path(__file__).resolve().parent / "dashboard_types.ts"
GRAFANA = "@grafana/schema@13"
HOLE = "(/* JSON */)"

MISTAKES = (('"targets":', '"tagets":'), ('"absolute"', '"absolut"'), ('"editable": false', '"editable": "no"'))
"""What is put wrong in a dashboard to see that it is found."""


def _filled(text: str) -> str:
    return SOURCE.read_text(encoding="utf-8").replace(HOLE, f"(\n{text})")


def main() -> int:
    """Exit code 1 if a dashboard does not fit, or if one that cannot fit is taken for good."""
    dashboards = {Path(path).stem: text for path, text in files().items()}
    smallest = min(dashboards.values(), key=len)
    mistakes = {f"mistake{number}": smallest.replace(*pair, 1) for number, pair in enumerate(MISTAKES)}
    with types(GRAFANA) as folder:
        problems = compiled(folder, {name: _filled(text) for name, text in dashboards.items()})
        found = compiled(folder, {name: _filled(text) for name, text in mistakes.items()})
    for name, (_, wrong) in zip(mistakes, MISTAKES, strict=True):
        problems += "" if f"{name}.ts" in found else f"{wrong} is not found\n"
    sys.stderr.write(problems)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
