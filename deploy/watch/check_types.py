"""Check that the dashboards fit Grafana's published TypeScript types, and that a misspelt key is found.

    python -m deploy.watch.check_types

Fetches the two packages with npm into a temporary folder.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy.watch.dashboards import files

HERE = Path(__file__).resolve().parent
PACKAGES = ("@grafana/schema@13", "typescript@5")
OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022")
HOLE = "(/* JSON */)"

MISTAKES = (('"targets":', '"tagets":'), ('"absolute"', '"absolut"'), ('"editable": false', '"editable": "no"'))
"""What is put wrong in a dashboard to see that it is found."""


def _compile(folder: Path, texts: Mapping[str, str]) -> str:
    """What the compiler has to say of these; empty if all of them fit."""
    source = (HERE / "dashboard_types.ts").read_text(encoding="utf-8")
    for name, text in texts.items():
        (folder / f"{name}.ts").write_text(source.replace(HOLE, f"(\n{text})"), encoding="utf-8")
    command = ("node_modules/.bin/tsc", *OPTIONS, *(f"{name}.ts" for name in texts))
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout  # noqa: S603


def main() -> int:
    """Exit code 1 if a dashboard does not fit, or if one that cannot fit is taken for good."""
    with tempfile.TemporaryDirectory(prefix="backstay-types-") as name:
        folder = Path(name)
        install = ("npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES)
        subprocess.run(install, cwd=folder, check=True, stdin=subprocess.DEVNULL)  # noqa: S603
        dashboards = {Path(path).stem: text for path, text in files().items()}
        smallest = min(dashboards.values(), key=len)
        mistakes = {f"mistake{number}": smallest.replace(*pair, 1) for number, pair in enumerate(MISTAKES)}
        problems = _compile(folder, dashboards)
        found = _compile(folder, mistakes)
    for name, (_, wrong) in zip(mistakes, MISTAKES, strict=True):
        problems += "" if f"{name}.ts" in found else f"{wrong} is not found\n"
    sys.stderr.write(problems)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
