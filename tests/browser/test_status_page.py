"""The status page in a real browser: what it shows, for whom, and what it must never do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import Chromium

DRAWN = "['#connections tbody', '#timeline li', '#tree li', '#events li'].every(s => document.querySelector(s))"
SHOWN = f"{DRAWN} && !document.querySelector('#connections .advice[hidden]').closest('[data-key=orders]')"
PICTURES = Path(__file__).parents[2] / "docs"


def look_at(browser: Chromium, site, shown: str = SHOWN, **window) -> None:
    browser.events.clear()
    browser.open(site.url, **window)
    browser.until(shown)


def text(browser: Chromium, selector: str) -> str:
    return browser.look(f"document.querySelector({json.dumps(selector)}).innerText")


def row(browser: Chromium, name: str) -> dict[str, str]:
    cells = f"[...document.querySelectorAll('#connections [data-key=\"{name}\"] tr:first-child td')]"
    return dict(browser.look(f"{cells}.map(e => [e.dataset.label, e.textContent])"))


def test_what_is_wrong_stands_first_with_the_reason_the_next_attempt_and_what_to_do(browser, site):
    look_at(browser, site)
    assert text(browser, "#verdict") == "1 of 2 wanted connections not ready: orders"
    assert browser.look("[...document.querySelectorAll('#connections tbody')].map(e => e.dataset.key)") == [
        "orders",
        "paper/1",
        "night",
    ]
    found = row(browser, "orders")
    assert found["State"] == "✕ waiting"
    assert found["Since"] == "2 min"
    assert found["Next attempt, reason"].startswith("in 59 min: refused: gateway.example:4001")
    assert "Is TWS or IB Gateway running there?" in text(browser, "#connections [data-key=orders] .advice")
    assert row(browser, "night")["Wanted"] == "paused"
    assert row(browser, "paper/1")["Round trip"] == "4.2 ms"
    assert row(browser, "paper/1")["Messages/s"] == "242"
    assert "not ready" in browser.look("document.querySelector('[role=status]').textContent")
    assert browser.look("document.title") == "✕ 1 down · backstay"


def test_a_name_that_is_held_and_not_there_has_its_row_and_is_not_counted(browser, site):
    site.held = (replace(site.connections[2], name="paper/3", state="absent", admin="drained", reason="bad fills"),)
    look_at(browser, site)
    found = row(browser, "paper/3")
    assert (found["State"], found["Wanted"], found["Next attempt, reason"]) == ("○ absent", "drained", "bad fills")
    assert text(browser, "#verdict") == "1 of 2 wanted connections not ready: orders"
    site.held = ()
    browser.until("!document.querySelector('#connections [data-key=\"paper/3\"]')")


def test_it_goes_on_with_what_happens_and_keeps_its_elements(browser, site):
    look_at(browser, site)
    browser.look("window.before = document.querySelector('#connections [data-key=orders]')")
    ready = replace(site.connections[1], state="ready", reason="", next_attempt_wall=0.0)
    site.connections = (site.connections[0], ready, site.connections[2])
    browser.until("document.querySelector('#verdict').textContent === '2 connections ready'")
    assert browser.look("window.before === document.querySelector('#connections [data-key=orders]')")
    assert browser.look("document.querySelectorAll('#connections .advice:not([hidden])').length") == 0
    site.connections = site.connections[:1]
    browser.until("document.querySelectorAll('#connections tbody').length === 1")


def test_events_come_live_and_are_limited(browser, site):
    look_at(browser, site)
    assert browser.look("[...document.querySelectorAll('#events b')].map(e => e.textContent)") == [
        "connection_lost",
        "started",
    ]
    site.events.publish("operator_command", {"command": "restart", "reason": "<b>stale</b> quotes"})
    browser.until("document.querySelector('#events li b').textContent === 'operator_command'")
    assert "reason=<b>stale</b> quotes" in text(browser, "#events li")
    for _ in range(150):
        site.events.publish("last")
    browser.until("[...document.querySelectorAll('#events b')].filter(e => e.textContent === 'last').length === 100")


def test_the_timeline_draws_and_tells_how_the_day_was(browser, site):
    look_at(browser, site)
    told = browser.look("[...document.querySelectorAll('#timeline svg')].map(e => e.getAttribute('aria-label'))")
    assert told[2] == "paper/1: 95.0 % ready, 1 outage, at most 60 min"
    kinds = "[...document.querySelectorAll('#timeline [data-key=orders] rect')].map(e => e.getAttribute('class'))"
    assert browser.look(kinds) == ["away", "ready", "degraded", "ready", "away"]


def test_the_tree_folds_by_keyboard_alone_and_stays_folded(browser, site):
    look_at(browser, site)
    assert text(browser, "#tree summary") == "root running, quiet 2 s, one_for_one, 4 of 5 restarts left"
    browser.look("document.querySelector('#tree [data-key^=\"root/connections/orders\"] summary').focus()")
    opened = "document.querySelector('#tree [data-key^=\"root/connections/orders\"] details').open"
    assert browser.look(opened) is False
    browser.press("Enter")
    assert browser.look(opened) is True
    browser.look("window.drawn = performance.now()")
    browser.until("performance.now() - window.drawn > 5500")  # it has been drawn again
    assert browser.look(opened) is True
    assert browser.look("document.activeElement.localName") == "summary"


def test_every_control_can_be_reached_with_the_tabulator(browser, site):
    look_at(browser, site)
    wanted = browser.look("document.querySelectorAll('#tree summary, #events, footer a').length")
    reached = set()
    for _ in range(wanted + 2):
        browser.press("Tab")
        reached.add(browser.look("document.activeElement.outerHTML.slice(0, 200)"))
        assert browser.look(
            "document.activeElement === document.body || document.activeElement.matches(':focus-visible')"
        )
    assert len(reached) >= wanted


def test_those_who_listen_to_it_find_headings_tables_and_names(browser, site):
    look_at(browser, site)
    nodes = browser.page("Accessibility.getFullAXTree")["nodes"]
    names = {}
    for one in nodes:
        if not one.get("ignored"):
            names.setdefault(one["role"]["value"], []).append(one.get("name", {}).get("value", ""))
    assert names["heading"] == [
        "backstay",
        "Connections",
        "Last 24 hours",
        "Relays",
        "Supervision tree",
        "Events",
    ]
    assert names["table"] == ["Connections", "Relays"]
    assert len(names["columnheader"]) == 14
    assert {"banner", "main", "contentinfo", "status"} <= set(names)
    assert all(names["image"])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_stands_out_from_its_ground(browser, site, dark):
    look_at(browser, site, dark=dark)
    script = """(() => {
      const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(n => n / 255)
        .map(n => n <= .03928 ? n / 12.92 : ((n + .055) / 1.055) ** 2.4);
        return .2126*v[0] + .7152*v[1] + .0722*v[2]; };
      const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (c !== 'rgba(0, 0, 0, 0)') return c; } };
      return [...document.querySelectorAll('h1,h2,p,td,th,li,b,span,a,summary,time,code')]
        .filter(e => e.textContent.trim() && e.checkVisibility()).map(e => {
          const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
          return [(a + .05) / (b + .05), e.outerHTML.slice(0, 90)]; }).filter(([ratio]) => ratio < 4.5); })()"""
    assert browser.look(script) == []
    ground = browser.look("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(15, 20, 25)") == dark


@pytest.mark.parametrize("width", [400, 320, 700, 1000, 1100, 1600])
def test_nothing_sticks_out_at_any_width(browser, site, width):
    long = replace(site.connections[1], name="x" * 64, reason="refused: " + "y" * 300)
    site.connections = (*site.connections, long)
    look_at(browser, site, width=width)
    browser.until(f"document.querySelector('[data-key={long.name}]')")
    assert browser.look("document.documentElement.scrollWidth") <= width
    is_out = "e.getBoundingClientRect().right > innerWidth + 1 && !(e.closest('thead') && innerWidth < 1081)"
    assert browser.look(f"[...document.querySelectorAll('body *')].filter(e => {is_out}).map(e => e.outerHTML)") == []


def test_a_name_from_outside_is_only_ever_text(browser, site):
    evil = replace(site.connections[1], name="<img src=x onerror=alert(1)>", reason="<script>window.evil=1</script>")
    site.connections = (evil,)
    look_at(browser, site, DRAWN)
    assert browser.look("document.querySelectorAll('main img, main script').length") == 0
    assert browser.look("window.evil") is None
    assert "<img src=x" in text(browser, "#connections tbody")


def test_it_breaks_none_of_its_own_rules_and_nothing_else_may_run_or_load(browser, site):
    look_at(browser, site)
    told = [one for one in browser.events if one["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert told == []
    asked = [one["params"]["request"]["url"] for one in browser.events if one["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith((site.url, "data:")) for url in asked)
    blocked = browser.look(
        "(() => { const s = document.createElement('img'); s.src = 'http://127.0.0.1:1/x.png';"
        " document.body.append(s); const i = document.createElement('p'); "
        "try { i.innerHTML = '<b>x</b>'; } catch (e) { return e.name; } return 'set'; })()"
    )
    assert blocked == "TypeError"
    browser.wait_event(
        lambda one: one["method"] == "Log.entryAdded" and "Content Security Policy" in one["params"]["entry"]["text"]
    )


def test_it_says_when_nobody_answers_and_comes_back(browser, site):
    look_at(browser, site)
    address = site.stop()
    browser.until("document.querySelector('#verdict').textContent.startsWith('No answer from backstay')")
    assert browser.look("document.body.classList.contains('old')")
    site.start(address)
    browser.until("document.querySelector('#verdict').textContent.startsWith('1 of 2')")
    site.events.publish("again")
    browser.until("document.querySelector('#events li b').textContent === 'again'")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pictures_can_be_taken_of_it(browser, site, dark, request):
    look_at(browser, site, dark=dark, width=1200)
    png = browser.picture()
    assert png.startswith(b"\x89PNG")
    if request.config.getoption("--pictures"):
        (PICTURES / f"status-page-{'dark' if dark else 'light'}.png").write_bytes(png)
