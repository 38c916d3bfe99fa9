"""What a round proves of an order: rows of evidence and their verdicts; executions in any order, any number of them."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol.order_fields import ExecutionFacts, Look, OrderFacts, PlacedOrder
from backstay.session import evidence as evidence_module
from backstay.session.evidence import (
    VERDICT_EVENTS,
    Evidence,
    Executions,
    Ground,
    VerdictKind,
    execution_identity,
    judge,
    looks_alike,
)
from backstay.session.intents import INTENT_TRANSITIONS, Intent, IntentKey, IntentState

ME = 7
LOOK = Look(con_id=265598, symbol="AAPL", sec_type="STK", action="BUY", quantity=Decimal(10))
INTENT = Intent(
    key=IntentKey("paper", ME, 5),
    order=PlacedOrder(order_id=5, order_ref="mine", account="DU1", look=LOOK),
    payload=b"",
    version=200,
    state=IntentState.IN_DOUBT,
    sent_wall=5_000.0,
    written_at=10.0,
)
GROUND = Ground(
    epoch=2,
    asked_at=100.0,
    settle_seconds=10.0,
    settled=True,
    open_known=True,
    history_known=True,
    reaches_back_to=4_000.0,
    owner_of=lambda _perm_id: None,
    first_listed=lambda _perm_id: None,
)


def opened(status="Submitted", *, order_id=5, client_id=ME, perm_id=77, ref="mine", **more):
    return OrderFacts(
        message_id=5, order_id=order_id, client_id=client_id, perm_id=perm_id, order_ref=ref, status=status, **more
    )


def completed(status="Cancelled", *, perm_id=77, ref="mine", account="DU1", look=LOOK):
    return OrderFacts(
        message_id=101,
        order_id=None,
        client_id=None,
        perm_id=perm_id,
        order_ref=ref,
        account=account,
        look=look,
        status=status,
    )


def fill(shares="10", *, exec_id="a.01.01", order_id=5, perm_id=77, ref="mine"):
    return ExecutionFacts(
        request_id=1,
        order_id=order_id,
        client_id=ME,
        exec_id=exec_id,
        perm_id=perm_id,
        order_ref=ref,
        shares=Decimal(shares),
    )


def seen(*facts):
    evidence = Evidence()
    for fact in facts:
        if isinstance(fact, ExecutionFacts):
            evidence.add_execution(fact)
        else:
            evidence.add_order(fact)
    return evidence


def verdict(*facts, intent=INTENT, **ground):
    return judge(intent, seen(*facts), replace(GROUND, **ground))


UNSETTLED = {"settled": False}

ROWS = [
    ("nothing was listed", (), {}, {}, VerdictKind.UNKNOWN),
    ("nothing was listed, too early", (), UNSETTLED, {}, VerdictKind.UNDECIDED),
    ("nothing was listed, written a moment ago", (), {}, {"written_at": 95.0}, VerdictKind.UNDECIDED),
    ("open orders were not listed", (), {"open_known": False}, {}, VerdictKind.UNDECIDED),
    ("the past was not listed", (), {"history_known": False}, {}, VerdictKind.OVER),
    ("sent on an earlier day", (), {}, {"sent_wall": 3_000.0}, VerdictKind.OVER),
    ("changed since", (), {}, {"changes": 1}, VerdictKind.OVER),
    ("its id was used before", (), {}, {"life": 2}, VerdictKind.OVER),
    ("acknowledged once", (), {}, {"perm_id": 70}, VerdictKind.OVER),
    ("live once", (), {}, {"state": IntentState.LIVE}, VerdictKind.OVER),
    ("not to be transmitted", (), {}, {"order": replace(INTENT.order, transmit=False)}, VerdictKind.OVER),
    ("open", (opened(),), UNSETTLED, {}, VerdictKind.LIVE),
    ("open, not transmitted yet", (opened("PendingSubmit"),), UNSETTLED, {}, VerdictKind.LIVE),
    ("open, inactive", (opened("Inactive"),), UNSETTLED, {}, VerdictKind.LIVE),
    ("open, then filled", (opened(), opened("Filled"), opened()), UNSETTLED, {}, VerdictKind.FILLED),
    ("open, then cancelled", (opened(), opened("ApiCancelled")), UNSETTLED, {}, VerdictKind.CANCELLED),
    ("a preview was answered", (opened(what_if=True),), {}, {}, VerdictKind.UNKNOWN),
    ("open, of another client id", (opened(client_id=8),), {}, {}, VerdictKind.UNKNOWN),
    ("another order under its id", (opened(ref="theirs"),), {}, {}, VerdictKind.UNDECIDED),
    ("another order's fills under its id", (fill(ref="theirs"),), {}, {}, VerdictKind.OVER),
    ("filled, the status was missed", (fill(),), UNSETTLED, {}, VerdictKind.FILLED),
    ("filled in two", (fill("4"), fill("6", exec_id="b.01.01")), UNSETTLED, {}, VerdictKind.FILLED),
    ("filled in part, open", (fill("4"), opened()), UNSETTLED, {}, VerdictKind.LIVE),
    ("filled in part, not open", (fill("4"),), {}, {}, VerdictKind.OVER),
    ("filled in part, not open, too early", (fill("4"),), UNSETTLED, {}, VerdictKind.UNDECIDED),
    ("a fill that was corrected down", (fill(), fill("4", exec_id="a.01.02")), {}, {}, VerdictKind.OVER),
    ("filled after a change of unknown size", (fill(),), {}, {"changes": 1}, VerdictKind.OVER),
    ("filled and completed", (fill(), completed("Filled")), UNSETTLED, {}, VerdictKind.FILLED),
    ("completed, known by fills", (fill("4"), completed()), UNSETTLED, {}, VerdictKind.CANCELLED),
    ("completed, known by its number", (completed(ref=""),), UNSETTLED, {"perm_id": 77}, VerdictKind.CANCELLED),
    ("completed, known by its reference", (completed(),), UNSETTLED, {}, VerdictKind.CANCELLED),
    ("two completed of its reference", (completed(), completed(perm_id=78)), {}, {}, VerdictKind.OVER),
    (
        "completed, known by its reference, of which another one's is a part",
        (completed(), completed(ref="min", perm_id=78), completed(ref="mine-2", perm_id=79)),
        UNSETTLED,
        {},
        VerdictKind.CANCELLED,
    ),
    ("a reference of which ours is a part", (completed(ref="mine-2"),), {}, {}, VerdictKind.OVER),
    ("filled, of its reference, not of its id", (completed("Filled"),), {}, {}, VerdictKind.OVER),
    ("completed of its reference while open", (opened(perm_id=0), completed()), {}, {}, VerdictKind.LIVE),
    ("completed of another reference", (completed(ref="theirs"),), {}, {}, VerdictKind.UNKNOWN),
    ("completed without a reference", (completed(ref=""),), {}, {}, VerdictKind.UNKNOWN),
    ("completed of another account", (completed(account="DU2"),), {}, {}, VerdictKind.UNKNOWN),
    ("completed on the other side", (completed(look=replace(LOOK, action="SSHORT")),), {}, {}, VerdictKind.UNKNOWN),
    (
        "completed of another size",
        (completed(look=replace(LOOK, quantity=Decimal(11))),),
        {},
        {},
        VerdictKind.UNKNOWN,
    ),
    ("open of nobody, alike", (opened(order_id=0),), {}, {}, VerdictKind.OVER),
    ("open of nobody, its number", (opened(order_id=0),), {}, {"perm_id": 77}, VerdictKind.LIVE),
    ("fills of another order", (fill(order_id=6), completed()), {}, {}, VerdictKind.UNKNOWN),
]


@pytest.mark.parametrize(("facts", "ground", "intent", "kind"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_evidence_leads_to_its_verdict(facts, ground, intent, kind):
    found = verdict(*facts, intent=replace(INTENT, **intent), **ground)
    assert found.kind is kind
    assert (found.epoch, found.attempt, found.key) == (2, 1, INTENT.key)
    if kind in (VerdictKind.UNDECIDED, VerdictKind.OVER):
        assert found.why


@pytest.mark.parametrize("order_ref", ["", "mine"])
def test_a_completed_order_of_another_owner_is_not_ours(order_ref):
    intent = replace(INTENT, order=replace(INTENT.order, order_ref=order_ref))
    row = completed(ref=order_ref)
    assert verdict(row, intent=intent).kind is not VerdictKind.UNKNOWN
    assert verdict(row, intent=intent, owner_of=lambda _: (ME, 4)).kind is VerdictKind.UNKNOWN
    assert verdict(row, opened(order_id=6, ref=""), intent=intent).kind is VerdictKind.UNKNOWN


@pytest.mark.parametrize(("listed_at", "kind"), [(9.0, VerdictKind.UNKNOWN), (11.0, VerdictKind.OVER)])
def test_a_completed_order_that_was_listed_before_ours_was_written_is_another_one(listed_at, kind):
    intent = replace(INTENT, order=replace(INTENT.order, order_ref=""))
    assert verdict(completed(ref=""), intent=intent, first_listed=lambda _: listed_at).kind is kind


def test_a_combination_is_not_filled_by_its_legs():
    legs = replace(LOOK, sec_type="BAG", con_id=0)
    intent = replace(INTENT, order=replace(INTENT.order, look=legs))
    assert verdict(fill(), intent=intent).kind is VerdictKind.OVER


def test_an_order_whose_size_is_not_known_is_not_filled_by_shares():
    intent = replace(INTENT, order=replace(INTENT.order, look=replace(LOOK, quantity=None)))
    assert verdict(fill(), intent=intent).kind is VerdictKind.OVER


def test_a_verdict_names_the_number_and_the_fills():
    found = verdict(opened(perm_id=99), fill("4"))
    assert (found.perm_id, [f.shares for f in found.executions]) == (99, [Decimal(4)])
    assert verdict(fill()).perm_id == 77
    assert verdict(completed(perm_id=55)).perm_id == 55
    assert verdict(opened(perm_id=0), intent=replace(INTENT, perm_id=3)).perm_id == 3


def test_every_verdict_fits_the_table_of_states():
    for kind, event in VERDICT_EVENTS.items():
        if event is None:
            continue
        assert (IntentState.IN_DOUBT, event) in INTENT_TRANSITIONS
        if kind is not VerdictKind.UNKNOWN:
            assert (IntentState.LIVE, event) in INTENT_TRANSITIONS


def test_a_round_with_more_rows_than_can_be_kept_says_so(monkeypatch):
    monkeypatch.setattr(evidence_module, "MAX_ROWS", 2)
    evidence = seen(completed(), opened())
    assert not evidence.overflowed
    evidence.add_order(completed(perm_id=5))
    assert evidence.overflowed
    assert len(evidence.nameless) == 1


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({}, True),
        ({"con_id": 0}, True),
        ({"con_id": 1}, False),
        ({"con_id": 0, "symbol": "MSFT"}, False),
        ({"con_id": 0, "symbol": ""}, True),
        ({"symbol": "MSFT"}, True),  # the contract's number is the same
        ({"sec_type": "OPT"}, False),
        ({"sec_type": ""}, True),
        ({"action": "SELL"}, False),
        ({"action": ""}, True),
        ({"quantity": Decimal("10.0")}, True),
        ({"quantity": Decimal(5)}, False),
        ({"quantity": None}, True),
        ({"quantity": Decimal(0)}, True),
    ],
)
def test_orders_are_alike_unless_something_says_otherwise(change, alike):
    assert looks_alike(INTENT.order, completed(look=replace(LOOK, **change))) is alike


# -- executions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exec_id", "identity"),
    [
        ("0000e0d5.6578a0b1.01.01", ("0000e0d5.6578a0b1.01", 1)),
        ("0000e0d5.6578a0b1.01.02", ("0000e0d5.6578a0b1.01", 2)),
        ("U+2.1", ("U+2", 1)),
        ("plain", ("plain", 0)),
        ("a.b", ("a.b", 0)),
        (".5", (".5", 0)),
        ("", ("", 0)),
        ("a.\xb2", ("a.\xb2", 0)),
    ],
)
def test_the_last_number_of_an_id_counts_corrections(exec_id, identity):
    assert execution_identity(exec_id) == identity


FILLS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.integers(1, 9)).map(
        lambda t: fill(str(t[2]), exec_id=f"{t[0]}.01.{t[1]:02d}")
    ),
    max_size=12,
    unique_by=lambda f: f.exec_id,
)


@given(fills=FILLS, data=st.data())
def test_any_replay_of_executions_leads_to_the_same_fills(fills, data):
    once = Executions()
    for fact in sorted(fills, key=lambda f: f.exec_id):
        assert once.add(fact)
    replayed = data.draw(st.permutations(fills * 3))
    again = Executions()
    for fact in replayed:
        again.add(fact)
    last = {execution_identity(f.exec_id)[0]: f for f in sorted(fills, key=lambda f: f.exec_id)}
    assert set(once) == set(again) == set(last.values())
    assert set(again.of(ME, 5)) == set(last.values())
    assert again.of(ME, 6) == ()
    assert len(again) == len(last)


@given(fills=FILLS)
def test_a_repeated_execution_is_new_once(fills):
    executions = Executions()
    news = [executions.add(fact) for fact in sorted(fills * 3, key=lambda f: f.exec_id)]
    assert sum(news) == len(fills)


def test_executions_are_remembered_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(evidence_module, "MAX_EXECUTIONS", 2)
    executions = Executions()
    for name in "abc":
        executions.add(fill(exec_id=f"{name}.01.01"))
    assert [f.exec_id for f in executions] == ["b.01.01", "c.01.01"]


def test_a_fill_without_a_number_names_no_owner():
    assert seen(fill(perm_id=0)).owners == {}
    assert seen(fill()).owners == {77: (ME, 5)}
