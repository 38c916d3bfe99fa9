"""The log: levels, masks, and that nobody waits for it."""

from __future__ import annotations

import io
import json
import logging
import os
import threading

import pytest

from backstay.config import LogConfig
from backstay.logs import EventLog, LineWriter, catch_strays, level_of, masked

PATIENCE = 10.0


def logged(*events: tuple[str, dict], form: str = "json", level: str = "debug", follow=None) -> list[str]:
    stream = io.StringIO()
    log = EventLog(LogConfig(format=form, level=level), stream, follow=follow)
    for event, fields in events:
        log(event, **fields)
    log.close()
    return stream.getvalue().splitlines()


def test_an_event_is_one_line_with_time_level_and_name():
    (line,) = logged(
        ("connection_lost", {"connection": "paper/1", "code": 507, "detail": "", "x": None}), form="logfmt"
    )
    assert line.startswith("time=2")
    assert line.endswith("Z level=info event=connection_lost connection=paper/1 code=507")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain:word/1", "plain:word/1"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nline", r'"line\nline"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        (True, "true"),
        (7, "7"),
        ("größe", "größe"),
    ],
)
def test_a_value_in_logfmt_can_be_told_from_the_next_key(value, written):
    (line,) = logged(("x", {"value": value}), form="logfmt")
    assert line.endswith(f" value={written}")


def test_a_traceback_stays_on_its_line():
    for form in ("json", "logfmt"):
        (line,) = logged(("child_exited", {"kind": "crash", "traceback": "a\n  b\nc"}), form=form)
        assert "level=error" in line or '"level": "error"' in line


@pytest.mark.parametrize(
    ("event", "fields", "level"),
    [
        ("child_started", {}, "debug"),
        ("child_exited", {"kind": "crash"}, "error"),
        ("child_exited", {"kind": "shutdown"}, "debug"),
        ("state_changed", {"to": "handshaking"}, "debug"),
        ("state_changed", {"to": "ready"}, "info"),
        ("connection_lost", {}, "info"),
        ("tree_ended", {"kind": "shutdown"}, "info"),
        ("tree_ended", {"kind": "crash"}, "error"),
        ("something_new", {}, "info"),
    ],
)
def test_the_level_follows_from_the_event(event, fields, level):
    assert level_of(event, fields) == level


def test_what_is_below_the_level_is_counted_and_not_written():
    stream = io.StringIO()
    log = EventLog(LogConfig(level="warning"), stream)
    log("child_started")
    log("connection_lost")
    log("child_abandoned")
    log.close()
    assert log.counts == {"debug": 1, "info": 1, "warning": 1, "error": 0, "critical": 0}
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["event=child_abandoned"]


@pytest.mark.parametrize("account", ["U1234567", "DU7654321", "F1234567", "DF123456", "I12345678", "DU123456F"])
def test_account_numbers_are_masked_wherever_they_stand(account):
    (line,) = logged(("x", {"detail": f"for {account},", "error": ValueError(account), "list": [account]}))
    assert account[-5:] not in line
    assert f"{account.rstrip('0123456789F')}***" in line or "***" in line


def test_what_is_not_an_account_is_left_alone():
    assert masked("EU2130 port 41234 and U12") == "EU2130 port 41234 and U12"
    assert masked(True) is True
    assert masked(3) == 3
    assert masked(0.1234567891) == 0.123457


def test_fields_named_like_ours_lose_nothing():
    (line,) = logged(("x", {"level": "high", "time": "now", "event_": 1}))
    read = json.loads(line)
    assert (read["event"], read["level"], read["level_"], read["time_"]) == ("x", "info", "high", "now")


def test_a_value_that_cannot_be_printed_is_told_instead_of_raised():
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    (line,) = logged(("x", {"value": Broken()}))
    assert json.loads(line) | {"time": ""} == {
        "time": "",
        "level": "error",
        "event": "log_failed",
        "about": "x",
        "error": "RuntimeError",
    }


def test_followers_get_what_matters_without_tracebacks():
    heard = []
    logged(
        ("child_started", {"id": "a"}),
        ("child_exited", {"kind": "crash", "traceback": "t", "id": "DU1234567"}),
        level="error",
        follow=lambda event, fields: heard.append((event, dict(fields))),
    )
    assert heard == [("child_exited", {"kind": "crash", "id": "DU***"})]


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_the_loss_is_told():
    read, write = os.pipe()
    os.set_blocking(write, True)
    stream = os.fdopen(write, "w")
    log = EventLog(LogConfig(format="json"), stream)
    log.writer._limit = 50
    filling = threading.Thread(target=lambda: [log("x", text="." * 1000) for _ in range(1000)], daemon=True)
    filling.start()
    filling.join(PATIENCE)
    assert not filling.is_alive()
    assert log.writer.dropped > 0
    lines: list[str] = []

    def drain() -> None:
        with os.fdopen(read) as pipe:
            lines.extend(pipe)

    draining = threading.Thread(target=drain)
    draining.start()
    log.close(PATIENCE)
    stream.close()
    draining.join(PATIENCE)
    read_back = [json.loads(line) for line in lines]
    written = sum(line["event"] == "x" for line in read_back)
    told = sum(line["count"] for line in read_back if line["event"] == "lines_dropped")
    assert written + told == 1000
    assert told == log.writer.dropped


def test_a_stream_that_is_gone_is_no_error():
    stream = io.StringIO()
    stream.close()
    writer = LineWriter(stream, str)
    writer.write("x")
    writer.close()
    assert writer.dropped == 1


def test_libraries_and_dying_threads_are_heard():
    heard = []
    undo = catch_strays(lambda event, **fields: heard.append((event, fields)))
    try:
        logging.getLogger("some.library").warning("careful with %s", "this")
        logging.getLogger("some.library").info("nothing")
        logging.getLogger("backstay.control.server").info("command done")
        thread = threading.Thread(target=lambda: 1 / 0, name="doomed")
        thread.start()
        thread.join(PATIENCE)
    finally:
        undo()
    assert [event for event, _ in heard] == ["library_message", "library_message", "thread_died"]
    assert heard[0][1]["text"] == "careful with this"
    assert [fields.get("severity") for _, fields in heard] == ["warning", "info", None]
    assert heard[2][1]["thread"] == "doomed"
    assert "ZeroDivisionError" in heard[2][1]["traceback"]
    before = len(heard)
    logging.getLogger("some.library").warning("again")
    assert len(heard) == before
