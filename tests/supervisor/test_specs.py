import pytest

from backstay.supervisor.specs import (
    AutoShutdown,
    ChildSpec,
    Intensity,
    Restart,
    SpecError,
    SupervisorSpec,
    Tally,
    no_log,
)


def start(context):
    raise AssertionError(context)


SIGNIFICANT = ChildSpec("a", start, restart=Restart.TRANSIENT, significant=True)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"id": ""}, "empty"),
        ({"id": "a/b"}, "slash"),
        ({"start": "no function"}, "callable"),
        ({"shutdown_seconds": -0.1}, "shutdown_seconds"),
        ({"shutdown_seconds": float("inf")}, "shutdown_seconds"),
        ({"shutdown_seconds": float("nan")}, "shutdown_seconds"),
        ({"significant": True}, "permanent"),
    ],
)
def test_a_child_spec_that_cannot_work_is_refused_with_its_field(wrong, words):
    with pytest.raises(SpecError, match=words):
        ChildSpec(**({"id": "a", "start": start} | wrong))


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
def test_children_that_can_end_for_good_may_be_significant(restart):
    child = ChildSpec("a", start, restart=restart, significant=True)
    assert SupervisorSpec(children=(child,), auto_shutdown=AutoShutdown.ANY).children == (child,)


def test_significant_children_need_a_supervisor_that_heeds_them():
    with pytest.raises(SpecError, match="auto_shutdown"):
        SupervisorSpec(children=(SIGNIFICANT,))


def test_ids_are_unique_under_one_supervisor():
    with pytest.raises(SpecError, match="unique: a"):
        SupervisorSpec(children=(ChildSpec("a", start), ChildSpec("b", start), ChildSpec("a", start)))


def test_defaults_are_those_of_the_documentation():
    spec = SupervisorSpec()
    assert (spec.intensity, spec.auto_shutdown, spec.own_book) == (Intensity(5, 60.0), AutoShutdown.NEVER, False)
    child = ChildSpec("a", start)
    assert (child.restart, child.shutdown_seconds) == (Restart.PERMANENT, 5.0)


def test_the_default_log_says_nothing(capsys):
    no_log("child_started", id="a")
    assert capsys.readouterr() == ("", "")


def test_a_tally_counts():
    tally = Tally()
    tally.add_restart()
    tally.add_abandoned()
    tally.add_abandoned()
    assert (tally.restarts, tally.threads_abandoned) == (1, 2)
