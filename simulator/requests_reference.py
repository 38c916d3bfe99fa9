"""The session itself, instruments, and the small reads about everything else."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator import reference
from backstay.simulator.catalogue import read_contract
from backstay.simulator.fields import Fields, Refused, show
from backstay.simulator.layout import write
from backstay.simulator.requests_market import cancel, free_id, one_instrument
from backstay.simulator.streams import Family, Pace, Stream

if TYPE_CHECKING:
    from backstay.simulator.session import Session

TIME_SECONDS = 1.0
"""TWS answers reqCurrentTime at most once in so long."""

SAMPLES_MAX = 16
"""Matching symbols TWS answers with at most."""

LOG_LEVELS = range(1, 6)

MODEL_OPTION = 13
"""Tick type of a calculated option."""

Handler = Callable[["Session", Fields], None]


def req_current_time(session: "Session", _fields: Fields) -> None:
    """Answer with the time, unless it was asked a moment ago."""
    now = time.monotonic()
    if session.world.settings.time_once_a_second and now - session.time_answered < TIME_SECONDS:
        return
    session.time_answered = now
    session.send(49, int(time.time() + session.world.faults.clock_error))


def req_current_time_in_millis(session: "Session", _fields: Fields) -> None:
    """Answer with the time in milliseconds."""
    session.send(109, int((time.time() + session.world.faults.clock_error) * 1000))


def set_log_level(_session: "Session", fields: Fields) -> None:
    """Take a log level; there is no log."""
    if fields.integer() not in LOG_LEVELS:
        raise Refused(-1, 319, "Invalid log level")


def req_contract_details(session: "Session", fields: Fields) -> None:
    """Describe every instrument that fits, then the end."""
    request_id = fields.integer()
    query = read_contract(fields)
    found = session.world.catalogue.find(query)
    if not found:
        raise Refused(request_id, 200, "No security definition has been found for the request")
    for instrument in found:
        record = reference.details(instrument, query.exchange)
        record.values["request_id"] = str(request_id)
        session.send(10, *write(reference.CONTRACT_DETAILS, record, session.version))
    session.send(52, request_id)


def req_matching_symbols(session: "Session", fields: Fields) -> None:
    """Tell which instruments a pattern fits."""
    request_id, pattern = fields.integer(), fields.text()
    found = session.world.catalogue.search(pattern)[:SAMPLES_MAX]
    values: list[object] = [request_id, len(found)]
    for one in found:
        derivatives = reference.DERIVATIVES.get(one.sec_type, ())
        values += [one.con_id, one.symbol, one.sec_type, one.primary or one.exchange, one.currency]
        values += [len(derivatives), *derivatives]
        if session.version >= 176:
            values += [one.name, ""]
    session.send(79, *values)


def req_option_chain(session: "Session", fields: Fields) -> None:
    """Tell expirations and strikes of an underlying's options, one row an exchange."""
    request_id, symbol, _exchange, sec_type, con_id = (
        fields.integer(),
        fields.text(),
        fields.text(),
        fields.text(),
        fields.integer(),
    )
    known = session.world.catalogue.get(con_id)
    if known is None or known.symbol != symbol or known.sec_type != sec_type:
        raise Refused(request_id, 321, "Error validating request. Invalid contract id")
    strikes = reference.option_chain(known)
    for exchange in ("SMART", "CBOE"):
        expirations = reference.EXPIRATIONS
        row = request_id, exchange, con_id, symbol, "100", len(expirations), *expirations, len(strikes), *strikes
        session.send(75, *row)
    session.send(76, request_id)


def req_market_rule(session: "Session", fields: Fields) -> None:
    """Tell the price steps of a rule."""
    rule_id = fields.integer()
    rule = reference.MARKET_RULES.get(rule_id)
    if rule is None:
        raise Refused(-1, 321, "Error validating request. Invalid market rule id")
    session.send(93, rule_id, len(rule), *(show(value) for step in rule for value in step))


def req_smart_components(session: "Session", fields: Fields) -> None:
    """Tell which exchanges the letters of SMART ticks stand for."""
    rows = reference.SMART_COMPONENTS
    session.send(82, fields.integer(), len(rows), *(value for row in rows for value in row))


def req_depth_exchanges(session: "Session", _fields: Fields) -> None:
    """Tell which exchanges have market depth."""
    values: list[object] = [len(reference.DEPTH_EXCHANGES)]
    for exchange, sec_type, listing, service, group in reference.DEPTH_EXCHANGES:
        values += [exchange, sec_type]
        values += [listing, service, group] if session.version >= 120 else [1]
    session.send(80, *values)


def req_soft_dollar_tiers(session: "Session", fields: Fields) -> None:
    """Tell that there are no tiers."""
    session.send(77, fields.integer(), 0)


def req_user_info(session: "Session", fields: Fields) -> None:
    """Tell the white branding id: none."""
    session.send(107, fields.integer(), "")


def query_display_groups(session: "Session", fields: Fields) -> None:
    """Tell the window groups of the screen."""
    session.send(67, fields.integer(), "1|2|3")


class _DisplayGroup(Stream):
    """What is shown in a window group; nothing, until somebody chooses."""

    shown = "none"

    def start(self) -> None:
        self.session.send(68, self.request_id, self.shown)


def subscribe_to_group(session: "Session", fields: Fields) -> None:
    """Begin a subscription to a window group."""
    request_id = fields.integer()
    free_id(session, Family.DISPLAY_GROUP, request_id, code=322, text="Error processing request. Duplicate ticker id")
    session.subscribe(_DisplayGroup(session, Family.DISPLAY_GROUP, request_id, pace=Pace.EVENT))


def update_display_group(session: "Session", fields: Fields) -> None:
    """Choose what a window group shows."""
    request_id = fields.integer()
    group = session.streams.get((Family.DISPLAY_GROUP, request_id))
    if not isinstance(group, _DisplayGroup):
        raise Refused(request_id, 321, "Error validating request. No such display group subscription")
    group.shown = fields.text()
    group.start()


def calculate_option(session: "Session", fields: Fields) -> None:
    """Answer an option calculation with plausible figures."""
    request_id = fields.integer()
    instrument = one_instrument(session, request_id, read_contract(fields))
    if instrument.sec_type != "OPT":
        raise Refused(request_id, 321, "Error validating request. The contract is not an option")
    given, under = fields.number() or 0.0, fields.number() or 0.0
    values: list[object] = [request_id, MODEL_OPTION]
    if session.version >= 156:  # based on return or on price
        values.append(0)
    price = session.world.market.quote(instrument).last
    values += [show(min(given, 1.0)), 0.5, show(price), 0, 0.02, 0.3, -0.05, show(under)]
    session.send(21, *values)


HANDLERS: Mapping[int, Handler] = {
    9: req_contract_details,
    14: set_log_level,
    49: req_current_time,
    54: calculate_option,
    55: calculate_option,
    67: query_display_groups,
    68: subscribe_to_group,
    69: update_display_group,
    70: cancel(Family.DISPLAY_GROUP, 321, "display group subscription"),
    78: req_option_chain,
    79: req_soft_dollar_tiers,
    81: req_matching_symbols,
    82: req_depth_exchanges,
    83: req_smart_components,
    91: req_market_rule,
    104: req_user_info,
    105: req_current_time_in_millis,
}
