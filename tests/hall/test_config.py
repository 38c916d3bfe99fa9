"""The configuration: defaults, overrides, and the telling of problems."""

import json
import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backstay.config import Address, Config, GatewayConfig, load
from backstay.config_reference import json_schema, reference
from backstay.config_sections import Section
from backstay.config_values import HIGHEST_CLIENT_ID, ClientIds, parse_client_ids, parse_window
from backstay.control.client import locate_socket
from backstay.errors import BackstayError, ConfigError, MisuseError, Problem
from backstay.metrics.listening import parse_address
from backstay.session.settings import HeldSettings, PulseSettings, Settings
from backstay.settings_of import session_settings

EXAMPLE = """
[gateways.paper]
endpoints = ["127.0.0.1:4002"]
maintenance = ["23:40-00:10 America/New_York"]
[relays.paper]
gateway = "paper"
listen = "127.0.0.1:7400"
client_ids = "0-31"
read_only = false
linger_seconds = 0
[connections.keeper]
gateway = "paper"
client_id = 900
[pacing]
messages_per_second = 45
[pulse]
idle_seconds = 5
probe_seconds = 10
probes = 2
[journal]
path = "backstay.db"
durability = "full"
[orders]
resend = "never"
settle_seconds = 10
ttl_seconds = 60
[http]
listen = "127.0.0.1:9464"
[control]
socket = "backstay.sock"
holds = "backstay.holds"
[log]
format = "logfmt"
"""

GATEWAY = '[gateways.paper]\nendpoints = ["127.0.0.1:4002"]\n'
SMALL = GATEWAY + '[relays.paper]\ngateway = "paper"\nlisten = "127.0.0.1:7400"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backstay.toml"


def problems(file: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """What is told of this text, without the name of the file."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environ or {})
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    return [line.removeprefix(f"{file}").removeprefix(": ") for line in lines]


# -- what is right ---------------------------------------------------------------------------------------------------


def test_the_example_of_the_documentation_is_accepted_and_holds_the_defaults(file):
    file.write_text(EXAMPLE)
    full = load(file, {})
    file.write_text(SMALL + '[connections.keeper]\ngateway = "paper"\nclient_id = 900\n')
    short = load(file, {})
    assert full.model_copy(update={"gateways": short.gateways}) == short.model_copy(
        update={"journal": full.journal, "control": full.control}
    )
    assert full.gateways["paper"].endpoints == (("127.0.0.1", 4002),)
    assert str(full.gateways["paper"].maintenance[0]) == "23:40-00:10 America/New_York"
    assert full.journal.path == file.parent / "backstay.db"


def test_the_defaults_are_those_of_the_session():
    config = Config(gateways={"g": GatewayConfig(endpoints=(Address("h", 1),))})
    made = session_settings(config, "g", read_only=False)
    of_its_own = {"gateway": "g", "journal": True, "time_zone": "America/New_York"}
    assert made == Settings(endpoints=(("h", 1),), pulse=PulseSettings(), held=HeldSettings(), **of_its_own)


def test_the_simulator_runs_without_a_file():
    config = Config.simulator_defaults("127.0.0.1:4002")
    assert config.gateways["simulator"].endpoints == (Address("127.0.0.1", 4002),)
    assert [str(relay.listen) for relay in config.relays.values()] == ["127.0.0.1:7400"]
    assert str(config.http.listen) == "127.0.0.1:9464"
    assert Config.simulator_defaults(Address("::1", 5), environ={"BACKSTAY_HTTP__LISTEN": "[::1]:0"}).http.listen == (
        "::1",
        0,
    )


def test_the_configuration_cannot_be_changed():
    config = Config.simulator_defaults("127.0.0.1:4002")
    with pytest.raises(ValidationError):
        config.pacing.messages_per_second = 1  # type: ignore[misc]


def test_paths_are_relative_to_the_file_and_absolute_ones_stay(file):
    file.write_text(SMALL + '[journal]\npath = "/var/lib/b.db"\n[control]\nsocket = "run/b.sock"\n')
    config = load(file, {})
    assert config.journal.path == Path("/var/lib/b.db")
    assert config.control.socket == file.parent / "run/b.sock"


@pytest.mark.parametrize("text", ["", '[control]\nsocket = "x.sock"\n', '[control]\nsocket = "/run/x.sock"\n'])
@pytest.mark.parametrize("environ", [{}, {"BACKSTAY_CONTROL__SOCKET": "e.sock"}])
def test_the_commands_find_the_socket_the_daemon_listens_on(file, monkeypatch, text, environ):
    monkeypatch.chdir(file.parent)
    file.write_text(SMALL + text)
    daemon, commands = load(file, environ).control.socket, locate_socket(str(file), None, environ)
    assert daemon.absolute() == commands.absolute()


@pytest.mark.parametrize("text", ["", "[journal]\n[control]\n"])
def test_files_that_nobody_placed_lie_beside_the_configuration(file, tmp_path, monkeypatch, text):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    file.write_text(SMALL + text)
    config = load(file, {})
    assert (config.journal.path, config.control.socket) == (tmp_path / "backstay.db", tmp_path / "backstay.sock")
    assert locate_socket(str(file), None, {}) == config.control.socket
    environ = {"BACKSTAY_CONTROL__SOCKET": "here.sock", "BACKSTAY_JOURNAL__PATH": "here.db"}
    moved = load(file, environ)
    assert (moved.journal.path, moved.control.socket) == (Path("here.db"), Path("here.sock"))
    assert locate_socket(str(file), None, environ) == moved.control.socket


def test_without_a_file_they_lie_in_the_current_folder():
    config = Config.simulator_defaults("127.0.0.1:4002")
    assert (config.journal.path, config.control.socket) == (Path("backstay.db"), Path("backstay.sock"))


def test_port_zero_never_clashes(file):
    relay = '[relays.r{0}]\ngateway = "paper"\nlisten = "127.0.0.1:0"\nclient_ids = "{0}"\n'
    file.write_text(GATEWAY + relay.format(1) + relay.format(2) + '[http]\nlisten = "127.0.0.1:0"\n')
    assert set(load(file, {}).relays) == {"r1", "r2"}


def test_the_same_port_on_two_hosts_is_two_ports(file):
    file.write_text(SMALL + '[http]\nlisten = "127.0.0.2:7400"\n')
    assert load(file, {}).http.listen.port == 7400


# -- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[pacng]\nx = 1\n", "pacng: unknown key (did you mean pacing?)"),
        (
            "[pacing]\nmessages = 5\n",
            "pacing.messages: unknown key; known: messages_per_second, historical_limits (got 5)",
        ),
        ('[relays.b]\ngateway = "paper"\nlisten = "x:1"\nclient_ids = "99"\nlingr_seconds = 1\n', None),
        ('[pacing]\nmessages_per_second = "fast"\n', "pacing.messages_per_second: must be a whole number (got "),
        ("[pacing]\nmessages_per_second = true\n", "pacing.messages_per_second: must be a number (got True)"),
        ("[pacing]\nmessages_per_second = 0\n", "pacing.messages_per_second: input should be greater than or equal"),
        ("[pacing]\nmessages_per_second = 1.5\n", "pacing.messages_per_second: must be a whole number (got "),
        ("[lifecycle]\ndial_seconds = nan\n", "lifecycle.dial_seconds: input should be a finite number (got nan)"),
        ("[lifecycle]\ndial_seconds = -1\n", "lifecycle.dial_seconds: input should be greater than 0 (got -1)"),
        ("[pulse]\nidle_seconds = 101\n", "pulse: idle_seconds + probes x probe_seconds, the time to notice a frozen"),
        ("[pulse]\nidle_seconds = 0.1\nprobe_seconds = 1.1\nprobes = 1\n", "pulse: idle_seconds + probes x probe_se"),
        ('[log]\nformat = "xml"\n', "log.format: input should be 'logfmt' or 'json' (got 'xml')"),
        ('[journal]\npath = ""\n', "journal.path: must not be empty (got '')"),
        ('[journal]\ndurability = "some"\n', "journal.durability: input should be 'full' or 'process' (got 'some')"),
        ('[orders]\nresend = "always"\n', "orders.resend: input should be 'never' or 'settled' (got 'always')"),
        ("[orders]\nsettle_seconds = 0\n", "orders.settle_seconds: input should be greater than or equal to 1"),
        ("[orders]\nttl_seconds = -1\n", "orders.ttl_seconds: input should be greater than or equal to 0"),
        ("pacing = 3\n", "pacing: must be a table (got 3)"),
        ("[relays]\nb = 3\n", "relays.b: must be a table (got 3)"),
        ("[gateways]\nb = 3\n", "gateways.b: must be a table (got 3)"),
        ("[gateways.b]\nendpoints = []\n", "gateways.b.endpoints: must not be empty (got [])"),
        ("[gateways.b]\n", "gateways.b.endpoints: is required"),
        ("[gateways.b]\nendpoints = 4\n", "gateways.b.endpoints: must be a list (got 4)"),
        ('[gateways.b]\nendpoints = ["x:1", "x"]\n', "gateways.b.endpoints[1]: must be HOST:PORT, an IPv6 host in br"),
        ('[gateways.b]\nendpoints = ["x:0"]\n', "gateways.b.endpoints[0]: port 0 cannot be dialled (got 'x:0')"),
        ('[gateways.b]\nendpoints = ["::1:7"]\n', "gateways.b.endpoints[0]: must be HOST:PORT, an IPv6 host in brac"),
        ("[gateways.b]\nendpoints = [4002]\n", "gateways.b.endpoints[0]: must be HOST:PORT in quotes (got 4002)"),
        ('[gateways.b]\nendpoints = ["x:1"]\nmaintenance = ["23:40 UTC"]\n', "gateways.b.maintenance[0]: must be HH"),
        ('[gateways."B b"]\nendpoints = ["x:1"]\n', 'gateways."B b": a name has lower-case letters, digits, dots,'),
        ('[connections.k]\ngateway = "paper"\nclient_id = true\n', "connections.k.client_id: must be a number (got"),
        ('[connections.k]\ngateway = "paper"\nclient_id = -1\n', "connections.k.client_id: input should be greater"),
        ('[connections.k]\ngateway = "papr"\nclient_id = 1\n', "connections.k.gateway: no such gateway; known: pape"),
        ('[connections.k]\ngateway = "paper"\nclient_id = 31\n', "connections.k.client_id: client id 31 on gateway p"),
        ('[http]\nlisten = "localhost:7400"\n', "http.listen: the port is taken by relays.paper.listen (got 'localho"),
        ('[http]\nlisten = "0.0.0.0:7400"\n', "http.listen: the port is taken by relays.paper.listen (got '0.0.0.0"),
        ('[http]\nlisten = "localhost:4002"\n', "http.listen: is also gateways.paper.endpoints[0]: backstay would"),
        ('[http]\nlisten = "127.0.0.1:65536"\n', "http.listen: the port must be 0 to 65535 (got '127.0.0.1:65536')"),
        (f'[control]\nsocket = "/{"x" * 107}"\n', "control: socket: a unix socket's path has at most 107 bytes"),
    ],
)
def test_a_bad_value_is_told_with_its_key_and_the_reason(file, text, told):
    found = problems(file, SMALL + text if not text.startswith("pacing") else text + SMALL)
    told = told or "relays.b.lingr_seconds: unknown key (did you mean linger_seconds?) (got 1)"
    assert len(found) == 1
    assert found[0].startswith(told)


def test_two_users_of_one_client_id_on_one_gateway_are_refused_and_on_two_gateways_not(file):
    keeper = '[connections.{}]\ngateway = "{}"\nclient_id = 900\n'
    other = '[gateways.other]\nendpoints = ["127.0.0.1:4001"]\n'
    assert problems(file, GATEWAY + keeper.format("a", "paper") + keeper.format("b", "paper")) == [
        "connections.b.client_id: client id 900 on gateway paper belongs to connections.a.client_id (got '900')"
    ]
    file.write_text(GATEWAY + other + keeper.format("a", "paper") + keeper.format("b", "other"))
    assert set(load(file, {}).connections) == {"a", "b"}


def test_two_relays_of_one_gateway_need_ids_of_their_own(file):
    second = '[relays.reader]\ngateway = "paper"\nlisten = "127.0.0.1:7401"\nread_only = true\n'
    assert problems(file, SMALL + second) == [
        "relays.reader.client_ids: client id 0 on gateway paper belongs to relays.paper.client_ids (got '0-31')"
    ]


def test_all_problems_are_told_at_once_contradictions_between_sound_parts_included(file):
    text = (
        GATEWAY
        + '[gateways.broken]\nendpoints = ["nowhere"]\n'
        + '[relays.one]\ngateway = "broken"\nlisten = "127.0.0.1:7400"\n'
        + '[relays.two]\ngateway = "paper"\nlisten = "127.0.0.1:7400"\n'
        + '[relays.three]\ngateway = "paper"\nlisten = "127.0.0.1:7400"\nclient_ids = "9-1"\n'
        + '[connections.k]\ngateway = "papr"\nclient_id = 1\n'
        + "[pulse]\nprobes = 0\n[surprise]\n"
    )
    assert [line.split(": ")[0] for line in problems(file, text)] == [
        "gateways.broken.endpoints[0]",
        "relays.three.client_ids",
        "pulse.probes",
        "surprise",
        "connections.k.gateway",
        "relays.two.listen",
    ]


def test_a_table_of_gateways_that_is_none_does_not_drown_the_rest_in_unknown_gateways(file):
    assert problems(file, "gateways = 5\n" + SMALL.replace(GATEWAY, "")) == ["gateways: must be a table (got 5)"]


def test_a_configuration_with_nothing_to_do_is_refused(file):
    assert problems(file, GATEWAY) == ["nothing to do: give a [relays.NAME] or a [connections.NAME]"]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a = 1\nb = = 2\n", ":2:5: "), ("a = 1\n[x", ":2:3: "), ("x = 'open\n", ":2:1: "), ("x = [1,\n", ":2:1: ")],
)
def test_broken_toml_is_told_with_line_and_column(file, text, place):
    found = problems(file, text)
    assert len(found) == 1
    assert found[0].startswith(place)


def test_a_file_that_cannot_be_read_is_told_by_its_name(file):
    with pytest.raises(ConfigError, match=r"backstay\.toml: cannot be read: No such file or directory"):
        load(file, {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(file.parent, {})
    file.write_bytes(b"x = '\xff'")
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(byte 5\)"):
        load(file, {})


def test_a_long_value_is_not_repeated_in_full(file):
    [line] = problems(file, SMALL + f'[log]\nformat = "{"x" * 500}"\n')
    assert len(line) < 200


def test_building_in_python_applies_the_same_checks():
    with pytest.raises(ValidationError, match=r"relays\.r\.gateway: no such gateway; known: none"):
        Config.model_validate({"relays": {"r": {"gateway": "g", "listen": "127.0.0.1:1"}}})


# -- the environment -------------------------------------------------------------------------------------------------


def test_the_environment_overrides_the_file(file):
    file.write_text(SMALL)
    config = load(
        file,
        {
            "BACKSTAY_PACING__MESSAGES_PER_SECOND": "40",
            "BACKSTAY_RELAYS__PAPER__READ_ONLY": "true",
            "BACKSTAY_RELAYS__PAPER__CLIENT_IDS": "5",
            "BACKSTAY_RELAYS__PAPER__LISTEN": "[::1]:7401",
            "BACKSTAY_GATEWAYS__PAPER__ENDPOINTS": "10.0.0.1:4001, 10.0.0.2:4001",
            "BACKSTAY_GATEWAYS__PAPER__MAINTENANCE": '["23:40-00:10 UTC"]',
            "BACKSTAY_HTTP": '{"enabled": false}',
            "BACKSTAY_JOURNAL__PATH": "here.db",
            "BACKSTAY_LOG__LEVEL": "",
            "BACKSTAY_CONFIG": "elsewhere.toml",
            "PATH": "/bin",
        },
    )
    relay = config.relays["paper"]
    assert config.pacing.messages_per_second == 40
    assert (relay.read_only, str(relay.client_ids), relay.listen) == (True, "5", ("::1", 7401))
    assert [str(endpoint) for endpoint in config.gateways["paper"].endpoints] == ["10.0.0.1:4001", "10.0.0.2:4001"]
    assert str(config.gateways["paper"].maintenance[0]) == "23:40-00:10 UTC"
    assert config.http.enabled is False
    assert config.journal.path == Path("here.db")
    assert config.log.level == "info"


def test_a_configuration_may_come_from_the_environment_alone():
    config = load(
        None,
        {
            "BACKSTAY_GATEWAYS__LIVE__ENDPOINTS": "gateway:4003",
            "BACKSTAY_CONNECTIONS__KEEPER__GATEWAY": "live",
            "BACKSTAY_CONNECTIONS__KEEPER__CLIENT_ID": "900",
        },
    )
    assert config.connections["keeper"].client_id == 900


def test_problems_of_the_environment_name_the_variable(file):
    found = problems(
        file,
        SMALL,
        {
            "BACKSTAY_PACING__MESSAGES_PER_SECOND": "fast",
            "BACKSTAY_PACNG__MESSAGES_PER_SECOND": "4",
            "BACKSTAY_PACING__MESSAGES": "4",
            "BACKSTAY_PULSE_PROBES": "4",
            "BACKSTAY_LIFECYCLE": "quick",
            "BACKSTAY_GATEWAYS__PAPER__ENDPOINTS": "[nonsense",
        },
    )
    told = {line.split(": ")[0]: line for line in found}
    assert set(told) == {
        "environment BACKSTAY_PACING__MESSAGES_PER_SECOND",
        "environment BACKSTAY_PACNG__MESSAGES_PER_SECOND",
        "environment BACKSTAY_PACING__MESSAGES",
        "environment BACKSTAY_PULSE_PROBES",
        "environment BACKSTAY_LIFECYCLE",
        "environment BACKSTAY_GATEWAYS__PAPER__ENDPOINTS",
    }
    assert "two underscores" in told["environment BACKSTAY_PULSE_PROBES"]
    assert told["environment BACKSTAY_LIFECYCLE"].endswith("lifecycle: must be JSON (got 'quick')")


def test_variables_that_an_orchestrator_adds_for_a_service_of_our_name_are_left_alone(file):
    file.write_text(SMALL)
    load(
        file,
        {
            "BACKSTAY_PORT": "tcp://10.0.0.1:9464",
            "BACKSTAY_SERVICE_HOST": "10.0.0.1",
            "BACKSTAY_PORT_9464_TCP_ADDR": "10.0.0.1",
            "BACKSTAY_HTTP_PORT": "tcp://10.0.0.1:9464",
            "BACKSTAY_HTTP_SERVICE_PORT_METRICS": "9464",
        },
    )


# -- values ----------------------------------------------------------------------------------------------------------


def test_client_ids_are_merged_and_printed_in_order():
    ids = parse_client_ids(" 9, 1-3,2-5 ,6")
    assert ids.ranges == (range(1, 7), range(9, 10))
    assert str(ids) == "1-6,9"
    assert list(ids) == [1, 2, 3, 4, 5, 6, 9]
    assert (len(ids), 9 in ids, 8 in ids, "x" in ids) == (7, True, False, False)


@pytest.mark.parametrize("text", ["", ",", "a", "1-", "-1", "3-1", "1;2", "0x3", f"{HIGHEST_CLIENT_ID + 1}", "٣"])
def test_what_are_no_client_ids_is_refused(text):
    with pytest.raises(ValueError, match=r"client id|backwards"):
        parse_client_ids(text)


small_ids = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=1, max_size=6).map(
    lambda parts: ",".join(f"{low}-{low + more}" if more else str(low) for low, more in parts)
)


@given(small_ids, small_ids)
def test_client_ids_behave_like_sets(one, other):
    first, second = parse_client_ids(one), parse_client_ids(other)
    plain = {n for part in one.split(",") for n in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)}
    assert set(first) == plain
    assert len(first) == len(plain)
    assert parse_client_ids(str(first)) == first
    assert first.first_common(second) == min(set(first) & set(second), default=None)


def test_all_client_ids_cost_no_memory():
    everything = parse_client_ids(f"0-{HIGHEST_CLIENT_ID}")
    assert 123_456_789 in everything
    assert everything.first_common(ClientIds((range(5, 6),))) == 5


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7400", ("127.0.0.1", 7400)),
        ("[::1]:0", ("::1", 0)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
        (" gateway.example:1 ", ("gateway.example", 1)),
    ],
)
def test_addresses_are_read_and_printed_alike(text, address):
    assert parse_address(text) == address
    assert str(parse_address(text)) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "7400", ":7400", "host", "host:", "host:x", "::1:7400", "[::1]", "a b:1", "h:1:2", "h:-1", "h:٣"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"must be HOST:PORT"):
        parse_address(text)


def wall(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


def test_a_window_may_cross_midnight_and_follows_the_clock_of_its_zone():
    window = parse_window("23:40-00:10 America/New_York")
    assert window.covers(wall(2026, 1, 15, 4, 40))  # 23:40 in winter
    assert window.covers(wall(2026, 1, 15, 5, 9))
    assert not window.covers(wall(2026, 1, 15, 5, 10))
    assert not window.covers(wall(2026, 1, 15, 4, 39))
    assert window.covers(wall(2026, 7, 15, 3, 40))  # 23:40 in summer
    assert not window.covers(wall(2026, 7, 15, 4, 40))
    assert parse_window("09:00-10:00 UTC").covers(wall(2026, 1, 1, 9, 30))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("23:40-00:10", "must be HH:MM-HH:MM ZONE"),
        ("9:00-10:00 UTC", "must be HH:MM-HH:MM ZONE"),
        ("23:60-00:10 UTC", "hours run from 00 to 23"),
        ("24:00-00:10 UTC", "hours run from 00 to 23"),
        ("10:00-10:00 UTC", "starts and ends at the same minute"),
        ("10:00-11:00 Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ("10:00-11:00 ../UTC", r"no time zone '\.\./UTC'"),
        ("10:00-11:00 America", "no time zone 'America'"),
    ],
)
def test_what_is_no_window_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_window(text)


# -- the schema ------------------------------------------------------------------------------------------------------


def test_the_schema_is_json_and_knows_every_key_with_its_meaning():
    schema = json.loads(json.dumps(json_schema()))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["properties"]["pacing"]["default"] == {"messages_per_second": 45, "historical_limits": True}
    sections = {kind.__name__: kind for kind in Section.__subclasses__() if kind is not Config}
    assert set(schema["$defs"]) == set(sections)
    for name, kind in sections.items():
        assert schema["$defs"][name]["additionalProperties"] is False
        for key in kind.model_fields:
            assert schema["$defs"][name]["properties"][key]["description"], f"{name}.{key}"
    assert schema["$defs"]["RelayConfig"]["properties"]["client_ids"]["default"] == "0-31"
    assert schema["$defs"]["HttpConfig"]["properties"]["listen"]["default"] == "127.0.0.1:9464"


@pytest.mark.checkout
def test_the_reference_of_the_documentation_is_the_one_that_the_sections_give():
    written = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert written.read_text(encoding="utf-8") == reference(), (
        "python -m backstay.config_reference > docs/configuration.md"
    )


def test_times_and_sizes_have_their_unit_in_their_name():
    units = ("_seconds", "_bytes", "_per_second", "_ratio")
    for kind in Section.__subclasses__():
        for key, field in kind.model_fields.items():
            is_float = field.annotation is float or float in get_args(field.annotation)
            assert not is_float or key.endswith(units) or key == "factor", f"{kind.__name__}.{key}"


def test_a_configuration_survives_the_way_through_json(file):
    file.write_text(EXAMPLE)
    config = load(file, {})
    assert Config.model_validate(json.loads(config.model_dump_json())) == config
    assert tomllib.loads(EXAMPLE).keys() <= config.model_dump().keys()


def test_config_errors_are_the_callers_and_carry_their_problems():
    problem = Problem("b.toml", "http.listen", "no")
    error = ConfigError([problem, Problem("b.toml:1:2", "", "broken")])
    assert isinstance(error, MisuseError)
    assert isinstance(error, BackstayError)
    assert error.problems[0] is problem
    assert str(error) == f"b.toml: http.listen: no{os.linesep}b.toml:1:2: broken"


def test_a_mark_of_the_byte_order_in_front_is_no_part_of_the_file(tmp_path):
    file = tmp_path / "backstay.toml"
    relay = b'[relays.r]\ngateway = "g"\nlisten = "127.0.0.1:0"\n'
    file.write_bytes(b"\xef\xbb\xbf" + b'[gateways.g]\nendpoints = ["127.0.0.1:4002"]\n' + relay)
    assert list(load(file, {}).gateways) == ["g"]


@pytest.mark.parametrize(("given", "maintenance"), [({}, None), ({"maintenance": []}, ()), ({"maintenance": ""}, ())])
def test_no_downtime_is_another_thing_than_none_that_is_named(given, maintenance):
    config = Config.model_validate({"gateways": {"g": {"endpoints": ["127.0.0.1:4002"], **given}}})
    assert config.gateways["g"].maintenance == maintenance
    assert session_settings(config, "g", read_only=False).maintenance == maintenance
