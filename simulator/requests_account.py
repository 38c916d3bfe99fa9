"""Accounts, positions, profit and loss: a snapshot, its end, then whatever fills change."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator.accounts import Accounts, time_of_day
from backstay.simulator.fields import Fields, Refused, show
from backstay.simulator.orders import Holding
from backstay.simulator.requests_market import cancel, free_id
from backstay.simulator.streams import Family, Pace, Stream

if TYPE_CHECKING:
    from backstay.simulator.session import Session

SUMMARIES_MAX = 2
"""Account summaries a client may have at a time."""

UNKEYED = 0
"""Key of streams that have no request id: one of each per client."""


class _Account(Stream):
    """A subscription to accounts; ``account`` may stand for all."""

    beat = Pace.EVENT

    def __init__(self, session: "Session", family: Family, request_id: int, *, account: str = "") -> None:
        super().__init__(session, family, request_id, pace=self.beat)
        self.account = account

    @property
    def accounts(self) -> Accounts:
        return self.session.world.accounts

    def concerns(self, account: str) -> bool:
        """Whether a change in an account is for this subscription."""
        return account in self.accounts.names(self.account)


class AccountUpdates(_Account):
    """reqAccountUpdates: values, portfolio, time, and the end of the download."""

    def start(self) -> None:
        """Send the whole picture and its end."""
        self._values()
        for holding in self.accounts.holdings(self.account):
            self._portfolio(holding)
        self.session.send(8, time_of_day())
        self.session.send(54, self.account)

    def changed(self, account: str, holding: Holding) -> None:
        """Send what a fill changed."""
        if self.concerns(account):
            self._portfolio(holding)
            self._values()
            self.session.send(8, time_of_day())

    def _values(self) -> None:
        for tag, (value, currency) in self.accounts.values(self.account).items():
            self.session.send(6, tag, value, currency, self.account)

    def _portfolio(self, holding: Holding) -> None:
        accounts, instrument = self.accounts, holding.instrument
        self.session.send(
            7,
            instrument.con_id,
            instrument.symbol,
            instrument.sec_type,
            instrument.expiry,
            show(instrument.strike),
            instrument.right or "0",
            instrument.multiplier,
            instrument.primary or instrument.exchange,
            instrument.currency,
            instrument.local_symbol,
            instrument.trading_class,
            show(holding.quantity),
            show(self.session.world.market.quote(instrument).last),
            show(round(accounts.market_value(holding), 2)),
            show(holding.average_cost),
            show(round(accounts.unrealized(holding), 2)),
            show(round(holding.realized, 2)),
            self.account,
        )


class AccountUpdatesMulti(_Account):
    """reqAccountUpdatesMulti: values of an account and model."""

    def start(self) -> None:
        """Send the whole picture and its end."""
        self._values()
        self.session.send(74, self.request_id)

    def changed(self, account: str, holding: Holding) -> None:  # noqa: ARG002  (all values may have changed)
        """Send what a fill changed."""
        if self.concerns(account):
            self._values()

    def _values(self) -> None:
        for account in self.accounts.names(self.account):
            for tag, (value, currency) in self.accounts.values(account).items():
                self.session.send(73, self.request_id, account, "", tag, value, currency)


class AccountSummary(_Account):
    """reqAccountSummary: chosen values of all accounts."""

    tags: tuple[str, ...] = ()

    def start(self) -> None:
        """Send the whole picture and its end."""
        self._rows()
        self.session.send(64, self.request_id)

    def changed(self, account: str, holding: Holding) -> None:  # noqa: ARG002  (any value may have changed)
        """Send what a fill changed."""
        if self.concerns(account):
            self._rows()

    def _rows(self) -> None:
        for account in self.accounts.names():
            values = self.accounts.values(account)
            for tag in self.tags:
                if tag in values:
                    value, currency = values[tag]
                    self.session.send(63, self.request_id, account, tag, value, currency)


class Positions(_Account):
    """reqPositions: what all accounts hold."""

    def start(self) -> None:
        """Send the whole picture and its end."""
        for account in self.accounts.names():
            for holding in self.accounts.holdings(account):
                self.changed(account, holding)
        self.session.send(62)

    def changed(self, account: str, holding: Holding) -> None:
        """Send what a fill changed."""
        self.session.send(61, account, *_contract(holding), show(holding.quantity), show(holding.average_cost))


class PositionsMulti(_Account):
    """reqPositionsMulti: what an account and model hold."""

    def start(self) -> None:
        """Send the whole picture and its end."""
        for account in self.accounts.names(self.account):
            for holding in self.accounts.holdings(account):
                self.changed(account, holding)
        self.session.send(72, self.request_id)

    def changed(self, account: str, holding: Holding) -> None:
        """Send what a fill changed."""
        if self.concerns(account):
            position = show(holding.quantity), show(holding.average_cost)
            self.session.send(71, self.request_id, account, *_contract(holding), *position, "")


class ProfitAndLoss(_Account):
    """reqPnL: an account's profit and loss."""

    beat = Pace.PNL

    def start(self) -> None:
        """Send the first figures."""
        self.step()

    def step(self) -> None:
        """Send the figures as they are now."""
        self.session.send(94, self.request_id, *_profit(self.session, self.accounts.totals(self.account)))


class ProfitAndLossSingle(_Account):
    """reqPnLSingle: one position's profit and loss."""

    con_id = 0

    beat = Pace.PNL

    def start(self) -> None:
        """Send the first figures."""
        self.step()

    def step(self) -> None:
        """Send the figures as they are now."""
        held = [one for one in self.accounts.holdings(self.account) if one.instrument.con_id == self.con_id]
        position, value, profit = 0.0, 0.0, (0.0, 0.0, 0.0)
        for holding in held:
            position, value = holding.quantity, self.accounts.market_value(holding)
            profit = self.accounts.daily(holding), self.accounts.unrealized(holding), holding.realized
        figures = _profit(self.session, profit)
        self.session.send(95, self.request_id, show(position), *figures, show(round(value, 2)))


def _contract(holding: Holding) -> list[object]:
    instrument = holding.instrument
    return [
        instrument.con_id,
        instrument.symbol,
        instrument.sec_type,
        instrument.expiry,
        show(instrument.strike),
        instrument.right,
        instrument.multiplier,
        instrument.primary or instrument.exchange,
        instrument.currency,
        instrument.local_symbol,
        instrument.trading_class,
    ]


def _profit(session: "Session", profit: tuple[float, float, float]) -> list[str]:
    """Return daily, unrealized and realized profit, as many of them as this version carries."""
    daily, unrealized, realized = (show(round(value, 2)) for value in profit)
    shown = [daily]
    if session.version >= 129:
        shown.append(unrealized)
    if session.version >= 135:
        shown.append(realized)
    return shown


def _check_account(session: "Session", request_id: int, account: str) -> None:
    if not session.world.accounts.known(account):
        raise Refused(request_id, 321, f"Error validating request. Invalid account code '{account}'.")


def _unused(session: "Session", family: Family, request_id: int) -> None:
    free_id(session, family, request_id, code=322, text="Error processing request. Duplicate ticker id")


def req_account_updates(session: "Session", fields: Fields) -> None:
    """Begin or end the one subscription to an account's values."""
    subscribe, account = fields.flag(), fields.text()
    key = Family.ACCOUNT, UNKEYED
    known = session.streams.get(key)
    if not subscribe:
        session.streams.pop(key, None)
        return
    _check_account(session, -1, account)
    account = session.world.accounts.names(account)[0]
    if isinstance(known, AccountUpdates) and known.account != account:
        session.error(-1, 2100, "API client has been unsubscribed from account data.")
    session.subscribe(AccountUpdates(session, *key, account=account))


def req_account_updates_multi(session: "Session", fields: Fields) -> None:
    """Begin a subscription to the values of an account and model."""
    request_id, account = fields.integer(), fields.text()
    _check_account(session, request_id, account)
    _unused(session, Family.ACCOUNT_MULTI, request_id)
    session.subscribe(AccountUpdatesMulti(session, Family.ACCOUNT_MULTI, request_id, account=account))


def req_account_summary(session: "Session", fields: Fields) -> None:
    """Begin a subscription to chosen values of all accounts."""
    request_id, _group, tags = fields.integer(), fields.text(), fields.text()
    _unused(session, Family.ACCOUNT_SUMMARY, request_id)
    if sum(family is Family.ACCOUNT_SUMMARY for family, _ in session.streams) >= SUMMARIES_MAX:
        reason = "Error processing request. Maximum number of account summary requests exceeded"
        raise Refused(request_id, 322, reason)
    summary = AccountSummary(session, Family.ACCOUNT_SUMMARY, request_id)
    summary.tags = tuple(tag.strip() for tag in tags.split(",") if tag.strip())
    session.subscribe(summary)


def req_positions(session: "Session", _fields: Fields) -> None:
    """Begin the one subscription to all positions."""
    session.subscribe(Positions(session, Family.POSITIONS, UNKEYED))


def cancel_positions(session: "Session", _fields: Fields) -> None:
    """End the subscription to all positions."""
    session.streams.pop((Family.POSITIONS, UNKEYED), None)


def req_positions_multi(session: "Session", fields: Fields) -> None:
    """Begin a subscription to the positions of an account and model."""
    request_id, account = fields.integer(), fields.text()
    _check_account(session, request_id, account)
    _unused(session, Family.POSITIONS_MULTI, request_id)
    session.subscribe(PositionsMulti(session, Family.POSITIONS_MULTI, request_id, account=account))


def req_pnl(session: "Session", fields: Fields) -> None:
    """Begin a subscription to an account's profit and loss."""
    request_id, account = fields.integer(), fields.text()
    if account not in session.world.settings.accounts:
        raise Refused(request_id, 321, f"Error validating request. Invalid account code '{account}'.")
    _unused(session, Family.PNL, request_id)
    session.subscribe(ProfitAndLoss(session, Family.PNL, request_id, account=account))


def req_pnl_single(session: "Session", fields: Fields) -> None:
    """Begin a subscription to one position's profit and loss."""
    request_id, account, _model, con_id = fields.integer(), fields.text(), fields.text(), fields.integer()
    if account not in session.world.settings.accounts:
        raise Refused(request_id, 321, f"Error validating request. Invalid account code '{account}'.")
    _unused(session, Family.PNL_SINGLE, request_id)
    stream = ProfitAndLossSingle(session, Family.PNL_SINGLE, request_id, account=account)
    stream.con_id = con_id
    session.subscribe(stream)


def req_managed_accounts(session: "Session", _fields: Fields) -> None:
    """Tell the accounts of this login."""
    session.send(15, ",".join(session.world.settings.accounts))


def req_family_codes(session: "Session", _fields: Fields) -> None:
    """Tell the family of each account: none."""
    accounts = session.world.settings.accounts
    session.send(78, len(accounts), *(value for account in accounts for value in (account, "")))


HANDLERS: Mapping[int, Callable[["Session", Fields], None]] = {
    6: req_account_updates,
    17: req_managed_accounts,
    61: req_positions,
    62: req_account_summary,
    63: cancel(Family.ACCOUNT_SUMMARY, 300, "EId"),
    64: cancel_positions,
    74: req_positions_multi,
    75: cancel(Family.POSITIONS_MULTI, 321, "EId"),
    76: req_account_updates_multi,
    77: cancel(Family.ACCOUNT_MULTI, 321, "EId"),
    80: req_family_codes,
    92: req_pnl,
    93: cancel(Family.PNL, 10185, "EId"),
    94: req_pnl_single,
    95: cancel(Family.PNL_SINGLE, 10185, "EId"),
}
