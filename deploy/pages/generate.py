"""Pages that are written from the code: `python -m deploy.pages.generate` writes those of docs/ anew.

Configuration, commands, events, metrics and alerts have generators of their own, beside what they describe.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from backstay.config_reference import json_schema
from deploy.pages import api, asking, codes, faults, http, states

DOCS = Path(__file__).resolve().parents[2] / "docs"


def schema() -> str:
    """The JSON Schema of backstay.toml."""
    return json.dumps(json_schema(), indent=2) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": api.page,
    "backstay.schema.json": schema,
    "codes.md": codes.page,
    "faults.md": faults.page,
    "http.md": http.page,
    "requests.md": asking.page,
    "lifecycle.md": states.page,
    "pictures/lifecycle.svg": states.picture,
}


def write() -> None:
    """Write all of them."""
    for name, text in PAGES.items():
        (DOCS / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    write()
