"""Every block of the documentation is run, compared or judged by somebody, or stands in a list with its reason."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typist import ROOT, Typist, commands_in, like, misspelt, problems_of
from walk import Block, Terminal, blocks

from backstay.demo_client import QuoteClient
from backstay.simulator import Simulator
from backstay.simulator.control import ControlServer
from backstay.simulator.ports import free_port, free_ports

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BIN = Path(sys.executable).parent
SECONDS = 60.0

pytestmark = pytest.mark.checkout


class Kind(NamedTuple):
    """Blocks of a page (any, if empty) in a language, with a title or without."""

    page: str
    language: str
    titled: bool = False


HERE = "tests/pages/test_blocks.py"

RUN_BY = {
    Kind("", "console"): HERE,
    Kind("", "toml"): "tests/pages/test_howto.py",
    Kind("quickstart.md", "console", titled=True): "tests/pages/test_quickstart.py",
    Kind("quickstart.md", "python", titled=True): "tests/pages/test_quickstart.py",
    Kind("quickstart.md", "text", titled=True): "tests/pages/test_quickstart.py",
    Kind("night.md", "console", titled=True): "tests/pages/test_quickstart.py",
    Kind("night.md", "text", titled=True): "tests/pages/test_quickstart.py",
    Kind("paper.md", "text", titled=True): "tests/pages/test_paper.py",
    Kind("howto.md", "python"): "tests/pages/test_howto.py",
    Kind("library.md", "python"): "tests/library/test_library_pages.py",
    Kind("metrics.md", "python"): HERE,
    Kind("simulator.md", "python"): HERE,
    Kind("cli.md", "console", titled=True): "tests/cli/test_cli_reload.py",
    Kind("cli.md", "text"): HERE,
    Kind("cli.md", "dockerfile"): HERE,
    Kind("testing.md", "text"): HERE,
}
"""Who runs blocks, or compares them with what they are taken from."""

NOT_RUN = {
    Kind("alerts.md", "promql"): "the page is written from the table of alerts, and promtool reads the same rules",
    Kind("architecture.md", "mermaid"): "drawings",
    Kind("architecture.md", "text"): "a tree drawn from afar; `backstay tree` shows a real one",
    Kind("moving.md", "text"): "a program of somebody's beside what is left of it, in words",
    Kind("night.md", "text"): "nights of a real gateway",
}
"""Blocks that nobody runs, and why."""


def kind_of(page: str, block: Block) -> Kind:
    named = Kind(page, block.language, bool(block.title))
    return named if named in RUN_BY or named in NOT_RUN else named._replace(page="")


def block_of(page: str, language: str, part: str = "") -> Block:
    found = [one for one in blocks(DOCS / page) if one.language == language and not one.title and part in one.text]
    assert len(found) == 1, found
    return found[0]


def test_every_block_has_somebody_who_runs_it_or_a_reason():
    kinds = {kind_of(page.name, block) for page in PAGES for block in blocks(page)}
    assert kinds == set(RUN_BY) | set(NOT_RUN)
    assert not set(RUN_BY) & set(NOT_RUN)
    assert all((ROOT / file).is_file() for file in RUN_BY.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_no_block_is_overlooked(page):
    fences = [line for line in page.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("```")]
    assert len(fences) == 2 * len(blocks(page))


# -- commands --------------------------------------------------------------------------------------------------------

CONFIG = """
http.listen = "127.0.0.1:{http}"
gateways.paper.endpoints = ["127.0.0.1:{paper}"]
gateways.live.endpoints = ["127.0.0.1:{live}"]
relays.paper = {{ gateway = "paper", listen = "127.0.0.1:{relay}" }}
connections.keeper = {{ gateway = "live", client_id = 900 }}
"""


@pytest.fixture
def typist(tws_simulator_factory, tmp_path: Path) -> Iterator[Typist]:
    """In the folder of a daemon with two gateways; a client of its relay streams, and faults are taken."""
    paper: Simulator = tws_simulator_factory()
    live: Simulator = tws_simulator_factory()
    relay, http = free_ports(2)
    (tmp_path / "backstay.toml").write_text(CONFIG.format(paper=paper.port, live=live.port, relay=relay, http=http))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BACKSTAY_")}
    typist = Typist(tmp_path, {**clean, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"})
    control = ControlServer(paper, ("127.0.0.1", 0))
    control.start()
    daemon = Terminal(tmp_path, typist.environ)
    client = None
    try:
        daemon.type("exec backstay run")
        daemon.see("backstay ... is ready: ...", SECONDS)
        client = QuoteClient(("127.0.0.1", relay), ["AAPL"])
        client.start()
        typist.instead = {"CONNECTION": "keeper", "7401": str(control.address[1]), "4001": str(live.port)}
        typist.instead["9464"] = str(http)
        yield typist
    finally:
        if client is not None:
            client.stop()
        daemon.close()
        control.stop()


def test_commands_do_what_the_pages_say(typist):
    for page in PAGES:
        for block in blocks(page):
            if kind_of(page.name, block) == Kind("", "console"):
                alone = {"4002": str(free_port())}
                if "--control" in block.text:  # it brings its own simulator
                    alone |= {typist.instead["7401"]: str(free_port())}
                typist.follow(page.name, block.text, instead=alone)
    assert typist.problems == []


def test_what_is_not_so_is_found(typist):
    for block in (
        "backstay restart nobody",
        "$ backstay explain keeper\nkeeper on gateway live: nowhere to be seen",
        "make nonsense",
        'make test PYTEST_ARGS="tests/nowhere --nothing"',
        "python -m deploy.watch.nothing",
        "python -m deploy.watch.generate --nothing",
        "docker compose -f deploy/compose/nothing.yaml --profile nothing up",
        "frobnicate --all",
    ):
        before = len(typist.problems)
        typist.follow("made up", block)
        assert len(typist.problems) > before, block


def spans() -> Iterator[tuple[str, str]]:
    """Commands within sentences."""
    for page in (*PAGES, ROOT / "README.md"):
        prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for span in re.findall(r"`((?:sudo |\.venv/bin/)?backstay [^`]*)`", prose):
            yield page.name, span.replace(".venv/bin/", "").replace("\n", " ").rstrip("\\")


def test_commands_in_sentences_are_spelt_as_they_are():
    found = list(spans())
    assert len(found) > 50
    assert [problem for _, span in found for problem in misspelt(span)] == []
    assert misspelt("backstay fly") != []
    assert misspelt("backstay restart keeper --slowly") != []


def test_a_remark_is_not_typed_and_output_is_no_command():
    assert [one.text for one in commands_in("backstay status   # all\n# more\nbackstay \\\n    tree\n")] == [
        "backstay status",
        "backstay      tree",
    ]
    (one,) = commands_in("$ backstay pause keeper\nkeeper: paused (paused, 0.1s)\n")
    assert (one.text, one.shown) == ("backstay pause keeper", ("keeper: paused (paused, 0.1s)",))
    assert like("keeper: paused (paused, 0.1s)").fullmatch("keeper: paused (paused, 12s)")
    assert like("since 2026-11-23 03:30 UTC: x").fullmatch("since 2027-01-02 13:31 UTC: x")
    assert not like("keeper: paused").fullmatch("keeper: drained")
    assert problems_of("kubectl apply -k deploy/kubernetes/overlays/paper") == []


# -- the others ------------------------------------------------------------------------------------------------------


def test_what_the_page_about_commands_shows_has_the_form_of_the_real_thing(typist):
    def said(command: str) -> str:
        return subprocess.run(
            command.split(), cwd=typist.folder, env=typist.environ, capture_output=True, text=True, check=True
        ).stdout

    shown = [line.split() for line in block_of("cli.md", "text", "NAME ").text.splitlines()]
    real = [line.split() for line in said("backstay status").splitlines()]
    (head,) = [line for line in shown if line[:1] == ["NAME"]]
    assert head in real
    assert [line[:1] for line in shown[:2]] == [line[:1] for line in real[:2]] == [["backstay"], ["relay"]]
    line = block_of("cli.md", "text", "is ready").text.strip().replace("127.0.0.1:7400", "...").replace("9464", "...")
    http, relay = free_ports(2)
    environ = {**typist.environ, "BACKSTAY_HTTP__LISTEN": f"127.0.0.1:{http}"}
    environ["BACKSTAY_RELAYS__PAPER__LISTEN"] = f"127.0.0.1:{relay}"
    environ["BACKSTAY_CONTROL__SOCKET"] = "backstay.sock"
    folder = typist.folder / "other"
    folder.mkdir()
    (folder / "backstay.toml").write_text((typist.folder / "backstay.toml").read_text())
    second = Terminal(folder, environ)
    try:
        second.type("exec backstay run")
        second.see(line.replace("backstay.sock", "..."), SECONDS)
    finally:
        second.close()


def test_the_check_of_the_container_is_that_of_the_image():
    (line,) = block_of("cli.md", "dockerfile").text.splitlines()
    image = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert line.startswith("HEALTHCHECK CMD ")
    assert line.removeprefix("HEALTHCHECK ") in image


def test_the_scenario_on_the_page_is_one_of_those_that_are_played():
    shown = block_of("testing.md", "text").text
    files = (ROOT / "tests" / "session" / "scenarios").glob("*.txt")
    assert any(shown in file.read_text(encoding="utf-8") for file in files)


COLLECTING = """
import backstay
from prometheus_client import generate_latest

config = {"gateways": {"here": {"endpoints": ["127.0.0.1:1"]}}, "http": {"enabled": False},
          "connections": {"mine": {"gateway": "here", "client_id": 1}}}
with backstay.Manager(config) as manager:
"""


def test_the_metrics_come_in_a_registry_of_ones_own(tmp_path):
    program = COLLECTING + "".join(f"    {line}\n" for line in block_of("metrics.md", "python").text.splitlines())
    program += "    print(generate_latest(registry).decode())\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert 'backstay_connection_up{connection="mine"} 0.0' in done.stdout, done.stderr


STRATEGY = """
import backstay


class Strategy:
    def __init__(self, port):
        gateway = {"gateways": {"here": {"endpoints": [f"127.0.0.1:{port}"]}}, "http": {"enabled": False}}
        self.manager = backstay.Manager({**gateway, "connections": {"mine": {"gateway": "here", "client_id": 1}}})
        self.manager.start()
        symbols = ("AAPL", "MSFT", "SPY")
        contracts = [backstay.Contract(symbol=one, sec_type="STK", exchange="SMART", currency="USD") for one in symbols]
        connection = self.manager.connection("mine")
        assert connection.wait_ready(30)
        self.streams = [connection.subscribe("market_data", contract=one) for one in contracts]

    def is_streaming(self):
        return all(next(iter(stream)) is not None for stream in self.streams)


@pytest.fixture(autouse=True)
def ended():
    yield
    while STARTED:
        STARTED.pop().manager.stop()


STARTED = []


def start_my_strategy(port):
    STARTED.append(Strategy(port))
    return STARTED[-1]


"""


def test_the_test_on_the_page_about_the_simulator_passes(tmp_path):
    file = tmp_path / "test_mine.py"
    file.write_text("import pytest\n" + STRATEGY + block_of("simulator.md", "python").text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={tmp_path}", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout
