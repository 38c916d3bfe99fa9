"""The modules beside these tests can be imported by name."""

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from journal_desk import Answers, Desk  # noqa: E402  # found by the line above


@pytest.fixture
def path(tmp_path):
    return tmp_path / "orders.db"


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def desk():
    made = Desk()
    yield made
    if made.actor is not None:
        made.stop()
