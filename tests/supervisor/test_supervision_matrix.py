"""Strategy x restart kind x way to end, with real actors: who is begun again, and who is left alone."""

import itertools
from typing import Any

import pytest

from backstay.supervisor.messages import Stop
from backstay.supervisor.specs import Restart, Strategy, SupervisorSpec
from backstay.supervisor.tree import ChildState

P, T, X = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
RESTARTED = {
    (P, "leaves"),
    (P, "is told to stop"),
    (P, "crashes"),
    (T, "crashes"),
}
TIED = {Strategy.ONE_FOR_ONE: "b", Strategy.ONE_FOR_ALL: "abc", Strategy.REST_FOR_ONE: "bc"}
CELLS = list(itertools.product(Strategy, Restart, ("leaves", "is told to stop", "crashes")))


def crash(_: Any) -> None:
    raise SystemExit("on purpose")


WAYS = {
    "leaves": lambda book: book.send("b", lambda actor: actor.leave()),
    "is told to stop": lambda book: book.urge("b", Stop()),
    "crashes": lambda book: book.send("b", crash),
}


def ids(cell: Any) -> str:
    return "-".join(getattr(part, "value", part).replace(" ", "_") for part in cell)


@pytest.mark.parametrize("cell", CELLS, ids=ids)
def test_the_middle_one_of_three_children_ends(forest, cell):
    strategy, restart, way = cell
    children = (forest.child("a"), forest.child("b", restart=restart), forest.child("c"))
    root = forest.plant(SupervisorSpec(strategy=strategy, children=children))
    forest.life.wait_count(3)
    WAYS[way](root.book)
    forest.diary.wait(lambda entries: any(entry[0] == "child_exited" and entry[1]["id"] == "b" for entry in entries))
    forest.settle(root)

    restarted = TIED[strategy] if (restart, way) in RESTARTED else ""
    states = {node.name: (node.state, node.incarnation) for node in root.tree().children}
    expected = {name: (ChildState.RUNNING, 2 if name in restarted else 1) for name in "abc"}
    if not restarted:
        expected["b"] = (ChildState.STOPPED, 1)
        if restart is X:
            del expected["b"]
    assert states == expected
    assert root.tally.restarts == len(restarted)
    forest.life.wait_count(4 + len(restarted) + max(0, len(restarted) - 1))
    ends = [entry[1] for entry in forest.life.entries if entry[0] == "end"]
    assert ends == ["b", *(name for name in reversed(restarted) if name != "b")]
    restarts = [fields["id"] for fields in forest.diary.events("child_restarted")]
    assert restarts == list(restarted)


def test_the_matrix_is_complete():
    assert len(CELLS) == 27
