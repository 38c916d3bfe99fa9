"""Every course of events of a small world: an order that is sent again never becomes two."""

import pytest
from reconcile_model import Limits, Variant, explore


def test_no_course_of_losses_restarts_and_crashes_makes_two_orders_of_one():
    finding = explore(Variant(), Limits(losses=1, restarts=1, crashes=1))
    assert finding.duplicates == 0, finding.shortest
    assert finding.states > 5_000
    assert finding.resent > 1_000, "orders are sent again in many of them"


@pytest.mark.parametrize(
    "broken",
    [
        Variant(reconcile=False),
        Variant(settle=False),
        Variant(settle=False, same_id=False),
        Variant(in_order=False),
    ],
    ids=[
        "without asking",
        "without settling",
        "under a new id, without settling",
        "the ended ones asked for too early",
    ],
)
def test_the_model_finds_the_duplicates_of_a_broken_rule(broken):
    finding = explore(broken, Limits(losses=1, restarts=1, crashes=0), to_the_first=True)
    assert finding.duplicates == 1
    assert finding.shortest
