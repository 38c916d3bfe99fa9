"""The rounds of questions about orders: when TWS is asked for its lists, and with what words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from backstay.protocol.commands import all_open_orders, completed_orders, executions, open_orders
from backstay.protocol.framing import PREFIX_BYTES
from backstay.session.families import FAMILIES, alike
from backstay.session.lifecycle import Link
from backstay.session.orders import day_begins
from backstay.session.pacing import Item, Lane
from backstay.session.reasons import Reason
from backstay.session.reconcile import Ask, ReconcileEffect, Source
from backstay.session.sieve_words import Conceal
from backstay.session.verdicts import forget_owner, take_verdicts
from backstay.session.vocabulary import Arm, Timer
from backstay.session.watched import COMPLETED_ORDER_END, EXECUTION_END, OPEN_ORDER_END

if TYPE_CHECKING:
    from backstay.session.core import Core

COMPLETED_SINCE = 150
CLOCK_STEP_SECONDS = 1.0
"""TWS gives the time of a fill, and its own, in whole seconds."""

QUESTIONS: dict[Source, tuple[int, int]] = {
    Source.OPEN: (5, OPEN_ORDER_END),
    Source.ALL_OPEN: (16, OPEN_ORDER_END),
    Source.COMPLETED: (99, COMPLETED_ORDER_END),
    Source.EXECUTIONS: (7, EXECUTION_END),
}
"""The request that asks for each list, and the message that ends it."""


def begin_round(core: Core) -> None:
    """A new socket is ready: ask what has become of the orders, if there is anything to ask about."""
    orders, at = core.owed.orders, core.desk.at()
    if orders is None:
        return
    link_up = core.link is not Link.DOWN
    first = orders.rounds == 0
    orders.rounds += 1
    if first:
        orders.watched_since = at.wall + core.clock_skew - CLOCK_STEP_SECONDS
    if not _asks_for_lists(core) or (first and not orders.table.open_intents()):
        orders.reconciliation.nothing_owed(core.owed.epoch, at, link_up=link_up)
        return
    effects = orders.reconciliation.begin(
        core.owed.epoch,
        at,
        link_up=link_up,
        reaches_back_to=day_begins(at.wall, core.settings.time_zone),
        has_completed=core.desk.version >= COMPLETED_SINCE,
    )
    carry_out(core, effects)


def ask_anew(core: Core) -> None:
    """Ask what has become of the orders although nothing has happened to the socket, if there are any."""
    orders = core.orders
    if core.desk.open and orders.table.open_intents() and _asks_for_lists(core):
        carry_out(core, orders.reconciliation.ask_anew(core.desk.at()))


def _asks_for_lists(core: Core) -> bool:
    """Who may place nothing has nothing to ask about, unless others' orders are shown to it."""
    return not core.settings.read_only or core.orders.sees_others


def link_changed(core: Core, *, up: bool) -> None:
    """1100, 1101 or 1102."""
    if not up:
        core.desk.recall_orders(Reason.LOST_LINK)
    if core.owed.orders is not None and core.desk.open and _asks_for_lists(core):
        core.orders.rounds += up  # what it lists is of this session's time, as on a new socket
        forget_owner(core)
        carry_out(core, core.orders.reconciliation.link(core.desk.at(), up=up))


def ring_reconcile(core: Core) -> None:
    """An answer has not come, or it is time for another round."""
    core.reconcile_due = None
    if core.owed.orders is not None and core.desk.open:
        carry_out(core, core.orders.reconciliation.tick(core.desk.at()))
        core.desk.offer_owed_cancels()  # lists that do not come are waited for no longer


def plan_round(core: Core) -> None:
    """Have the timer ring when the reconciliation wants it."""
    orders = core.owed.orders
    due = orders.reconciliation.due if orders is not None else None
    if due is not None and due != core.reconcile_due and core.desk.open:
        core.reconcile_due = due
        core.effects.append(Arm(Timer.RECONCILE, max(0.0, due - core.now)))


def carry_out(core: Core, effects: Iterable[ReconcileEffect]) -> None:
    """Ask what the reconciliation wants asked, and let what it has judged count."""
    for effect in effects:
        if isinstance(effect, Ask):
            if effect.source is Source.OPEN:  # with it a round begins
                core.own_keys.clear()
                core.orders.others.begin()
            core.to_ask.append(effect.source)
        else:
            take_verdicts(core, effect)
    ask_what_may_be_asked(core)


def ask_what_may_be_asked(core: Core) -> None:
    """Write the questions that no question of the client stands in the way of."""
    waiting, core.to_ask = core.to_ask, []
    for source in waiting:
        number, end = QUESTIONS[source]
        if number in FAMILIES and core.desk.has_asked(alike(number)):
            core.to_ask.append(source)  # or its answer would be taken for ours
            continue
        version, key = core.desk.version, None
        if source is Source.EXECUTIONS:
            key = core.orders.next_question()
            core.own_keys.add(key)
            data = executions(version, key)
        else:
            data = _ASKED[source](version)
        core.effects.append(Conceal(core.owed.epoch, end, key))
        core.desk.outbox.push(Lane.SETTINGS, Item(data[PREFIX_BYTES:]))


_ASKED: dict[Source, Callable[[int], bytes]] = {
    Source.OPEN: open_orders,
    Source.ALL_OPEN: all_open_orders,
    Source.COMPLETED: completed_orders,
}
