"""What the process counts of operators' commands and of its configuration."""

import pytest

from backstay.accounts import Accounts
from backstay.config import Config


def config(**over: object) -> Config:
    return Config.model_validate({"gateways": {"paper": {"endpoints": ["127.0.0.1:4002"]}}, **over})


def test_commands_that_change_something_are_counted_and_so_are_those_that_fail():
    accounts = Accounts(config())
    with accounts.action("pause"):
        pass
    with pytest.raises(KeyError), accounts.action("pause"):
        raise KeyError
    with pytest.raises(KeyError), accounts.action("explain"):
        raise KeyError
    assert accounts.actions["pause"] == 2
    assert accounts.failures["pause"] == 1
    assert sum(accounts.actions.values()) == 2
    assert "explain" not in accounts.actions


def test_a_refused_configuration_leaves_hash_and_time_of_the_one_that_runs():
    accounts = Accounts(config())
    before = accounts.hash, accounts.accepted_wall
    accounts.config_refused()
    assert not accounts.accepted
    assert (accounts.hash, accounts.accepted_wall) == before
    accounts.config_accepted(config(pacing={"messages_per_second": 40}))
    assert accounts.accepted
    assert accounts.hash != before[0]
    assert accounts.hash == Accounts(config(pacing={"messages_per_second": 40})).hash
