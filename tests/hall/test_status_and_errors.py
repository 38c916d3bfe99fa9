"""Status values, their JSON form, and the tree of errors."""

import dataclasses
import json

import pytest

from backstay import errors
from backstay.status import SCHEMA, ConnectionStatus, ListenerStatus, Status, status_as_dict

KEEPER = ConnectionStatus("keeper", "paper", "127.0.0.1:4002", 900, wanted=True, state="ready")
STATUS = Status("1.2", 7, 8.5, (ListenerStatus("paper", "127.0.0.1:7400", "paper", 2),), (KEEPER,))


def test_the_json_form_has_the_names_of_the_fields():
    found = json.loads(json.dumps(status_as_dict(STATUS)))
    assert found.pop("schema") == SCHEMA
    assert set(found) == {field.name for field in dataclasses.fields(Status)}
    assert set(found["connections"][0]) == {field.name for field in dataclasses.fields(ConnectionStatus)}
    assert found["listeners"] == [{"name": "paper", "listen": "127.0.0.1:7400", "gateway": "paper", "clients": 2}]
    assert found["connections"][0]["round_trip_seconds"] is None


@pytest.mark.parametrize("value", [STATUS, KEEPER, STATUS.listeners[0]])
def test_a_status_never_changes_once_made(value):
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


def test_every_error_is_a_backstay_error_and_stands_in_the_docstrings_tree():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) == 11
    for kind in kinds:
        assert issubclass(kind, errors.BackstayError)
        assert kind.__name__ in (errors.__doc__ or "")


def test_errors_carry_what_a_program_needs_to_branch_on():
    remote = errors.RemoteError(200, "no security definition")
    assert (remote.code, remote.text, str(remote)) == (
        200,
        "no security definition",
        "no security definition (code 200)",
    )
    assert errors.ConnectionLostError("gone", code=507).code == 507
    assert errors.NotReadyError("away").code == 504
    assert isinstance(errors.NotReadyError("away"), errors.ConnectionLostError)
    assert errors.RequestInDoubtError(5, "sent, unanswered").request_id == 5
