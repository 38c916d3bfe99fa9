"""A value of the wrong type: each key of each section says what it wants instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.config import Config, ConnectionConfig, GatewayConfig, RelayConfig, load
from backstay.errors import ConfigError

NAMED = {"gateways": GatewayConfig, "relays": RelayConfig, "connections": ConnectionConfig}
NEEDED = {
    "gateways": {"endpoints": '["127.0.0.1:4001"]'},
    "relays": {"gateway": '"paper"', "listen": '"127.0.0.1:0"', "client_ids": '"500"'},
    "connections": {"gateway": '"paper"', "client_id": "900"},
}
SOUND = '[gateways.paper]\nendpoints = ["127.0.0.1:4002"]\n[relays.paper]\ngateway = "paper"\nlisten = "127.0.0.1:0"\n'
WRONG = {"date": "2026-01-01", "table": "{ a = 1 }", "list": "[2026-01-01]"}
NAME_RULE = "a name has lower-case letters, digits, dots, dashes and single underscores, 64 at the most"
CLEAR = ("must be ", "input should be '")


def keys() -> Iterator[tuple[str, str]]:
    for section, field in Config.model_fields.items():
        kind = NAMED.get(section) or field.annotation
        for key in kind.model_fields:
            yield section, key


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("section", "key"), list(keys()))
def test_a_value_of_another_type_is_told_with_its_key_and_what_it_must_be(tmp_path: Path, section, key, wrong):
    file = tmp_path / "backstay.toml"
    table, place = (f"{section}.other", f"{section}.other.{key}") if section in NAMED else (section, f"{section}.{key}")
    values = {**NEEDED.get(section, {}), key: WRONG[wrong]}
    file.write_text(SOUND + f"[{table}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()))
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    (problem,) = caught.value.problems
    assert problem.key.removesuffix("[0]").removesuffix(".a") == place  # in a table that is right, its value is wrong
    assert problem.reason.startswith(CLEAR), problem.reason
    assert "<class" not in problem.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[journal]\npath = 5\n", "journal.path: must be a path in quotes (got 5)"),
        ("[http]\nenabled = 'perhaps'\n", "http.enabled: must be true or false (got 'perhaps')"),
        ("[http]\nlisten = '127.0.0.1:99999'\n", "http.listen: the port must be 0 to 65535 (got '127.0.0.1:99999')"),
        ("[http]\nlisten = '127.0.0.1:999999'\n", "http.listen: the port must be 0 to 65535 (got '127.0.0.1:999999')"),
        ("[connections.k]\ngateway = 5\nclient_id = 99\n", "connections.k.gateway: must be text in quotes (got 5)"),
        (
            "[connections.k]\ngateway = '/a/b'\nclient_id = 99\n",
            f"connections.k.gateway: {NAME_RULE} (got '/a/b')",
        ),
        ("[held]\nage_seconds = 'long'\n", "held.age_seconds: must be a number (got 'long')"),
    ],
)
def test_what_is_wanted_is_told_in_words(tmp_path: Path, text, reason):
    file = tmp_path / "backstay.toml"
    file.write_text(SOUND + text)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(caught.value) == f"{file}: {reason}"
