"""What an account is worth: the values and positions account messages carry."""

import time
from typing import TYPE_CHECKING

from backstay.simulator.fields import show
from backstay.simulator.orders import Holding, Ledger

if TYPE_CHECKING:
    from backstay.simulator.market import Market

LEVERAGE = 4.0
"""Buying power of a margin account over its equity, within the day."""


class Accounts:
    """Values of accounts at the market; reads the ledgers, changes nothing."""

    def __init__(self, ledgers: dict[str, Ledger], market: "Market") -> None:
        self._ledgers = ledgers
        self._market = market

    def names(self, wanted: str = "") -> list[str]:
        """Return the accounts a name stands for: one, or all for none, All and groups."""
        return [wanted] if wanted in self._ledgers else list(self._ledgers)

    def known(self, name: str) -> bool:
        """Whether a name is an account's, or stands for all."""
        return name in self._ledgers or name in ("", "All")

    def holdings(self, account: str) -> list[Holding]:
        """Return what an account holds, positions closed today too: they are sent with a size of 0."""
        return list(self._ledgers[account].holdings.values())

    def market_value(self, holding: Holding) -> float:
        """Return what a position is worth now."""
        return holding.quantity * self._market.quote(holding.instrument).last * holding.unit

    def unrealized(self, holding: Holding) -> float:
        """Return what closing a position would gain."""
        return self.market_value(holding) - holding.quantity * holding.average_cost

    def daily(self, holding: Holding) -> float:
        """Return a position's profit of the day; nothing was held before the simulator began."""
        return self.unrealized(holding) + holding.realized

    def totals(self, account: str) -> tuple[float, float, float]:
        """Return an account's profit and loss: daily, unrealized, realized."""
        ledger = self._ledgers[account]
        unrealized = sum(self.unrealized(holding) for holding in ledger.holdings.values())
        return unrealized + ledger.realized, unrealized, ledger.realized

    def net_liquidation(self, account: str) -> float:
        """Return money and positions together."""
        return self._ledgers[account].cash + sum(map(self.market_value, self.holdings(account)))

    def values(self, account: str) -> dict[str, tuple[str, str]]:
        """Return an account's values by tag: the value as text and its currency."""
        ledger = self._ledgers[account]
        gross = sum(abs(self.market_value(holding)) for holding in self.holdings(account))
        equity = self.net_liquidation(account)
        _, unrealized, realized = self.totals(account)
        money = {
            "NetLiquidation": equity,
            "TotalCashValue": ledger.cash,
            "TotalCashBalance": ledger.cash,
            "CashBalance": ledger.cash,
            "SettledCash": ledger.cash,
            "EquityWithLoanValue": equity,
            "GrossPositionValue": gross,
            "BuyingPower": equity * LEVERAGE,
            "AvailableFunds": equity,
            "ExcessLiquidity": equity,
            "InitMarginReq": 0.0,
            "MaintMarginReq": 0.0,
            "FullInitMarginReq": 0.0,
            "FullMaintMarginReq": 0.0,
            "FullAvailableFunds": equity,
            "FullExcessLiquidity": equity,
            "AccruedCash": 0.0,
            "UnrealizedPnL": unrealized,
            "RealizedPnL": realized,
        }
        plain = {"AccountCode": account, "AccountType": "INDIVIDUAL", "AccountReady": "true", "Cushion": "1"}
        texts = {tag: (text, "") for tag, text in plain.items()}
        return texts | {tag: (show(round(value, 2)), "USD") for tag, value in money.items()}


def time_of_day() -> str:
    """Return the time as account updates carry it."""
    return time.strftime("%H:%M", time.gmtime())
