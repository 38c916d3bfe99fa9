"""What reaches the main thread reaches it at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from backstay.signals import calls

PATIENCE = 60.0

RACE = """
import os, signal, sys, threading
from backstay.signals import calls
sys.setswitchinterval(1e-5)
busy = threading.Thread(target=lambda: [sum(range(100)) for _ in iter(int, 1)], daemon=True)
busy.start()
for _ in range(300):
    with calls() as queue:
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM), daemon=True).start()
        assert queue.next() == "SIGTERM"
print("heard them all")
"""


def test_a_signal_at_the_moment_in_which_the_wait_begins_is_heard():
    ended = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.stdout, ended.stderr) == ("heard them all\n", "")


def test_another_thread_is_heard_and_what_comes_late_does_no_harm():
    with calls() as queue:
        thread = threading.Thread(target=queue.put, args=("over",))
        thread.start()
        assert queue.next() == "over"
        thread.join()
    queue.put("too late")


def test_other_signals_are_told_as_often_as_they_come_and_everything_is_as_before_afterwards():
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    with calls(others=("SIGHUP",)) as queue:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            assert queue.next() == "SIGHUP"
    assert {name: signal.getsignal(name) for name in before} == before


def test_a_hangup_that_nobody_asked_for_is_ignored():
    with calls() as queue:
        os.kill(os.getpid(), signal.SIGHUP)
        queue.put("first")
        assert queue.next() == "first"
