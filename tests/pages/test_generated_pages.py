"""Pages written from the code are what the code says, and say all of it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from backstay.config_reference import json_schema
from backstay.control.routes import ROUTES as CONTROL_ROUTES
from backstay.control.vocabulary import EXITS, FAILURES, INTERRUPTED, Exit
from backstay.metrics.routes import ROUTES
from backstay.protocol.builders import BUILDERS
from backstay.protocol.codes import CODES, CodeGroup
from backstay.session.lifecycle import PUBLIC_STATES, State
from backstay.session.notices import Notice
from backstay.session.reasons import Reason
from backstay.simulator.control import ROUTES as SIMULATOR_ROUTES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

if not DOCS.is_dir():
    pytest.skip("no source tree beside the wheel", allow_module_level=True)
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import backstay  # noqa: E402
from deploy.pages import api, asking, codes, generate, http, states  # noqa: E402  # found by the lines above


@pytest.mark.parametrize("name", generate.PAGES)
def test_the_page_is_up_to_date(name):
    assert (DOCS / name).read_text(encoding="utf-8") == generate.PAGES[name](), "python -m deploy.pages.generate"


def test_every_notice_has_its_advice_and_every_group_of_codes_its_part():
    assert set(codes.ADVICE) == set(Notice)
    assert set(codes.MEANWHILE) == set(CodeGroup)
    page = codes.page()
    assert all(f"\n| {code} | " in page for code in CODES)


def test_every_request_and_every_event_of_the_library_has_its_row():
    page = asking.page()
    assert set(asking.HOW) == {builder.request.kind for builder in BUILDERS.values()}
    assert all(f"\n| `{name}` | " in page for name in (*BUILDERS, *backstay.events.__all__))
    row = next(line for line in page.splitlines() if line.startswith("| `historical_bars`"))
    assert all(f"`{name}" in row for name in BUILDERS["historical_bars"].names)


SAYING = {
    "say": (),
    "_refuse": (),
    "_refuse_order": (1,),
    "_refuse_cancel": (1,),
    "_unsend": (1,),
    "recall_orders": (0,),
}
"""Who says something to a client, and which of the arguments is a reason, beside the one called `detail`."""


def unlisted(source: str) -> list[str]:
    """Reasons that are written where they are said, and so in no table."""
    found = []
    for call in ast.walk(ast.parse(source)):
        name = call.func.attr if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else ""
        if name in SAYING:
            reasons = [one.value for one in call.keywords if one.arg == "detail"]
            reasons += [call.args[at] for at in SAYING[name] if at < len(call.args)]
            found += [ast.unparse(one) for one in reasons if isinstance(one, ast.Constant | ast.JoinedStr)]
    return found


def test_every_reason_that_a_client_is_told_is_in_the_table():
    modules = [path for room in ("session", "relay") for path in (ROOT / room).glob("*.py")]
    assert [said for path in modules for said in unlisted(path.read_text(encoding="utf-8"))] == []
    page = codes.page()
    assert all(f"- `{codes.with_dots(reason)}`" in page for reason in Reason)


@pytest.mark.parametrize("line", ['desk.say(n, detail="because")', 'self._refuse_order(item, f"after {n} s")'])
def test_a_reason_that_is_in_no_table_is_found(line):
    assert len(unlisted(line)) == 1


def test_every_name_of_the_library_has_its_entry():
    page = api.page()
    assert all(f"## backstay.{name}\n" in page for name in backstay.__all__ if name not in {"__version__", "events"})
    assert "`legs` (())" in page.partition("## backstay.Contract\n")[2].partition("\n## ")[0]
    assert "`began`" in page.partition("## backstay.Gap\n")[2].partition("\n## ")[0]


def test_the_picture_has_every_state_and_stays_within_its_frame():
    picture = ET.fromstring(states.picture())  # noqa: S314  # our own
    words = {element.text for element in picture.iter() if element.tag.endswith("text")}
    assert {state.value for state in State} <= words
    assert set(states.PLACES) == set(State)
    assert all(0 < x < states.WIDTH and 0 < y < states.HEIGHT for x, y in states.PLACES.values())
    assert set(PUBLIC_STATES) - {"degraded"} == {state.value for state in State}


def test_the_schema_says_what_every_key_means():
    sections = json_schema()["$defs"].values()
    assert all(key["description"] for section in sections for key in section.get("properties", {}).values())


def test_every_exit_code_and_every_failure_has_its_row():
    assert list(EXITS) == list(Exit)
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    table = page.partition("## Exit codes")[2].partition("\n## ")[0]
    found = [int(line.split("|")[1]) for line in table.splitlines() if line[2:3].isdigit()]
    assert found == [*(code.value for code in Exit), INTERRUPTED]
    assert all(f"`{code}`" in table for code in FAILURES)


def test_every_route_has_its_row():
    page = http.page()
    paths = [http.shown(row.path) for row in (*ROUTES, *CONTROL_ROUTES, *SIMULATOR_ROUTES)]
    assert all(f" `{path}` |" in page for path in paths)
