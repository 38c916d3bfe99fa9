"""What the site makes of the pages; the site itself is built by `make docs`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOOKS = ROOT / "deploy" / "pages" / "hooks.py"

pytestmark = pytest.mark.checkout


class PluginError(Exception):
    """As mkdocs has it, which the tests do without."""


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    stand_in = ModuleType("mkdocs.exceptions")
    stand_in.PluginError = PluginError
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "mkdocs", ModuleType("mkdocs"))
        patch.setitem(sys.modules, "mkdocs.exceptions", stand_in)
        spec = importlib.util.spec_from_file_location("pages_hooks", HOOKS)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def test_a_link_out_of_the_documentation_becomes_its_text(hooks):
    page = "See [`deploy/`](../deploy), [an example](../examples/place_order.py#here) and [alerts](alerts.md)."
    text = hooks.without_outer_links(page, "deployment.md")
    assert text == "See `deploy/`, an example (`examples/place_order.py`) and [alerts](alerts.md)."


def test_a_link_from_a_page_below_to_one_above_stays(hooks):
    page = "[alerts](../alerts.md)"
    assert hooks.without_outer_links(page, "runbooks/BackstayAbsent.md") == page


@pytest.mark.parametrize("target", ["../nowhere.py", "../../../etc/passwd"])
def test_a_link_to_what_is_not_there_fails(hooks, target):
    with pytest.raises(PluginError, match="is not there"):
        hooks.without_outer_links(f"[it]({target})", "index.md")


def test_an_alert_that_links_to_a_page_that_the_site_has_not_is_found(hooks, tmp_path):
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "One.html").touch()
    alert = '- alert: {0}\n  annotations:\n    runbook_url: "http://localhost:8000/runbooks/{1}"\n'
    assert hooks.missing_runbooks(alert.format("One", "One.html"), tmp_path) == []
    both = alert.format("One", "One/") + alert.format("Two", "Two.html")
    assert hooks.missing_runbooks(both, tmp_path) == ["runbooks/One/", "runbooks/Two.html"]
    with pytest.raises(PluginError, match="not every alert"):
        hooks.missing_runbooks(alert.format("One", "One.html") + "- alert: Two\n", tmp_path)


def test_a_page_that_loads_something_from_outside_is_found(hooks):
    assert hooks.loaded_from_outside('<script src="https://cdn.example.org/x.js"></script>')
    assert hooks.loaded_from_outside('<link rel="stylesheet" href="//fonts.example.org/x.css">')
    assert not hooks.loaded_from_outside('<a href="https://example.org/">there</a><script src="assets/x.js"></script>')
