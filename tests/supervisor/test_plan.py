"""Every cell of strategy x restart kind x exit kind x place, from two small tables written by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.supervisor.messages import ExitKind
from backstay.supervisor.plan import Plan, plan_exit, plan_restart
from backstay.supervisor.specs import Restart, Strategy

P, T, X = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
NORMAL, SHUTDOWN, CRASH, FOREIGN = ExitKind.NORMAL, ExitKind.SHUTDOWN, ExitKind.CRASH, ExitKind.FOREIGN
ONE, ALL, REST = Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE

OUTCOME = {
    (P, NORMAL): "restart",
    (P, SHUTDOWN): "restart",
    (P, CRASH): "restart",
    (P, FOREIGN): "end",
    (T, NORMAL): "keep",
    (T, SHUTDOWN): "keep",
    (T, CRASH): "restart",
    (T, FOREIGN): "end",
    (X, NORMAL): "remove",
    (X, SHUTDOWN): "remove",
    (X, CRASH): "remove",
    (X, FOREIGN): "end",
}

TIED = {
    (ONE, "a"): "a",
    (ONE, "b"): "b",
    (ONE, "c"): "c",
    (ALL, "a"): "abc",
    (ALL, "b"): "abc",
    (ALL, "c"): "abc",
    (REST, "a"): "abc",
    (REST, "b"): "bc",
    (REST, "c"): "c",
}

CELLS = [
    pytest.param(strategy, failed, restart, kind, id=f"{strategy.value}-{failed}-{restart.value}-{kind.value}")
    for (strategy, failed), (restart, kind) in itertools.product(TIED, OUTCOME)
]


def expected(strategy: Strategy, failed: str, restart: Restart, kind: ExitKind) -> Plan:
    tied = TIED[strategy, failed]
    match OUTCOME[restart, kind]:
        case "restart":
            return Plan(stop=tuple(name for name in reversed(tied) if name != failed), start=tuple(tied), costs=True)
        case "remove":
            return Plan(remove=(failed,))
        case "end":
            return Plan(ends=True)
        case _:
            return Plan()


def test_the_tables_cover_the_whole_product():
    assert len(CELLS) == 108
    assert set(OUTCOME) == set(itertools.product(Restart, ExitKind))
    assert set(TIED) == set(itertools.product(Strategy, "abc"))


@pytest.mark.parametrize(("strategy", "failed", "restart", "kind"), CELLS)
def test_the_plan_for_an_exit(strategy, failed, restart, kind):
    order = [(name, restart if name == failed else P) for name in "abc"]
    plan = plan_exit(order, strategy=strategy, failed=failed, kind=kind)
    assert plan == expected(strategy, failed, restart, kind)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("failed", "abc")
def test_a_restart_that_was_asked_for_stops_the_child_itself_and_costs_nothing(strategy, failed):
    tied = TIED[strategy, failed]
    plan = plan_restart([(name, P) for name in "abc"], strategy=strategy, failed=failed)
    assert plan == Plan(stop=tuple(reversed(tied)), start=tuple(tied))


def test_temporary_siblings_that_must_stop_are_not_started_again():
    order = [("a", P), ("b", X), ("c", T), ("d", X)]
    plan = plan_exit(order, strategy=ALL, failed="a", kind=CRASH)
    assert plan == Plan(stop=("d", "c", "b"), start=("a", "c"), remove=("b", "d"), costs=True)


def test_a_temporary_child_is_restarted_when_asked_for():
    assert plan_restart([("a", X)], strategy=ALL, failed="a").start == ("a",)


@given(
    restarts=st.lists(st.sampled_from(Restart), min_size=1, max_size=8),
    strategy=st.sampled_from(Strategy),
    kind=st.sampled_from(ExitKind),
    data=st.data(),
)
def test_every_plan_keeps_the_order_and_touches_only_what_is_tied(restarts, strategy, kind, data):
    order = [(f"c{number}", restart) for number, restart in enumerate(restarts)]
    names = [name for name, _ in order]
    failed = data.draw(st.sampled_from(names))
    plan = plan_exit(order, strategy=strategy, failed=failed, kind=kind)
    assert list(plan.start) == sorted(plan.start, key=names.index)
    assert list(plan.stop) == sorted(plan.stop, key=names.index, reverse=True)
    assert failed not in plan.stop
    assert not set(plan.start) & set(plan.remove)
    assert set(plan.stop) <= set(plan.start) | set(plan.remove)
    assert plan.costs == bool(plan.start)
    if strategy is ONE:
        assert plan.stop == ()
    if strategy is REST:
        assert all(names.index(name) > names.index(failed) for name in plan.stop)
