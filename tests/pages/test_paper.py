"""The page about paper trading names files, services, ports and times as the compose file has them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from walk import blocks

from backstay.config import load
from backstay.protocol.codes import CODES
from backstay.session.calendar import Downtime, look_up
from backstay.session.notices import Notice

ROOT = Path(__file__).resolve().parents[2]
DOCS, COMPOSE = ROOT / "docs", ROOT / "deploy" / "compose"
JANUARY = 1_767_225_600.0  # 2026-01-01 00:00 UTC

pytestmark = pytest.mark.checkout


def compose() -> str:
    return (COMPOSE / "compose.yaml").read_text(encoding="utf-8")


def page() -> str:
    return (DOCS / "paper.md").read_text(encoding="utf-8")


def test_the_files_to_fill_in_are_those_that_compose_reads_and_git_leaves_alone():
    files = [Path(block.title) for block in blocks(DOCS / "paper.md") if block.title]
    assert [file.parent for file in files] == [Path("deploy/compose")] * 2
    for file in files:
        assert re.search(rf"(path|file): (\./)?{re.escape(file.name)}\b", compose())
        assert file.as_posix() in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = subprocess.run(["git", "check-ignore", *map(str, files)], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode in (0, 128)  # 128: a source tree without git
    assert "TWS_PASSWORD_FILE: /run/secrets/tws_password" in compose()


def test_services_and_ports_are_there():
    text = page()
    services = set(re.findall(r"^  ([a-z-]+):$", compose().partition("\nservices:")[2], re.MULTILINE))
    used = set(re.findall(r"--profile paper (?:logs|exec|restart) ([a-z-]+)", text))
    assert used == {"ib-gateway", "backstay"}
    assert used <= services
    published = set(re.findall(r"127\.0\.0\.1:(\d+):\d+", compose())) - {"7401"}  # the simulator's
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", text)) == published
    endpoints = (COMPOSE / "paper.toml").read_text(encoding="utf-8")
    assert 'endpoints = ["ib-gateway:4004"]' in endpoints


def test_the_restart_of_the_gateway_lies_within_its_planned_downtime():
    hour, minute = re.search(r"AUTO_RESTART_TIME: (\d\d):(\d\d) PM", compose()).groups()
    assert f"{int(hour) + 12}:{minute} New York time" in page()
    windows = load(COMPOSE / "paper.toml", {}).gateways["paper"].maintenance
    assert "TIME_ZONE: America/New_York" in compose()
    evening = JANUARY + (int(hour) + 12 + 5) * 3600 + int(minute) * 60  # New York is five hours behind in winter
    assert look_up(windows, evening).phase is Downtime.NOW
    assert look_up(windows, evening - 3600).phase is Downtime.NONE


@pytest.mark.parametrize("name", ["faq.md", "paper.md"])
def test_every_code_on_the_page_is_one_that_is_known(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    if name == "faq.md":
        found = {int(code) for head in re.findall(r"^## (.*?)[:?]", text, re.MULTILINE) for code in digits(head)}
        assert len(found) > 25
    else:
        rows = re.findall(r"^\| (\d[\d, ]*)", text, re.MULTILINE)
        found = {int(code) for row in rows for code in digits(row)} - {421}  # HTTP's
        assert len(found) > 5
    assert found <= set(CODES) | {notice.value.code for notice in Notice}


def digits(text: str) -> list[str]:
    return re.findall(r"-1\b|\b\d{3,5}\b", text)
