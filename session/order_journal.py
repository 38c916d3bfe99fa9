"""The journal of orders: asked for what it has, and told what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.session.order_words import LookedUp, LookUp, NotWrittenDown, WriteDown, WrittenDown
from backstay.session.ordering import begin_round
from backstay.session.orders import Journal, Orders
from backstay.session.vocabulary import Arm, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core

JOURNAL_RETRY_SECONDS = 5.0
"""Between two attempts to read a journal that could not be read, or to write to one whose disk is full."""


def open_book(core: Core, client_id: int) -> bool:
    """The client has said its id. True if its orders are known; else the journal is asked, and start has to wait."""
    core.owed.orders = core.desk.orders = Orders.of(core.settings, client_id)
    if core.owed.orders.journal is Journal.OFF:
        return True
    look_up(core)
    return False


def look_up(core: Core) -> None:
    """Ask the journal; if it does not answer either, that counts as broken."""
    core.effects.append(LookUp(core.orders.next_token(), core.settings.gateway))
    core.effects.append(Arm(Timer.JOURNAL, JOURNAL_RETRY_SECONDS))


def on_looked_up(core: Core, event: LookedUp) -> None:
    """The journal has been read."""
    orders = core.orders
    if event.token != orders.token or orders.journal is Journal.OPEN:
        return
    was_broken = orders.journal is Journal.BROKEN
    orders.load(event.page, core.desk.at())
    core.desk.want_held_cancels()
    core.book_is_open()
    if was_broken and core.desk.open:
        begin_round(core)


def on_not_written_down(core: Core, event: NotWrittenDown) -> None:
    """The disk is full, or the like: what should have been written down is not sent."""
    orders = core.owed.orders
    if orders is None:
        return
    if orders.journal in (Journal.ASKED, Journal.BROKEN):
        orders.journal, orders.trouble = Journal.BROKEN, event.trouble
        core.book_is_open()  # the timer of the look-up runs: it is read again
    else:
        core.desk.not_kept(orders, event.token, event.trouble)
        if not core.desk.disk_rests:
            core.desk.disk_rests = True
            core.effects.append(Arm(Timer.JOURNAL, JOURNAL_RETRY_SECONDS))


def on_written_down(core: Core, event: WrittenDown) -> None:
    """An order is on disk: it may leave."""
    core.desk.disk_rests = False
    if core.owed.orders is not None:
        core.desk.kept(core.owed.orders, event.token)


def ring_journal(core: Core) -> None:
    """It could not be read or written, or has not answered: try once more."""
    core.desk.disk_rests = False
    orders = core.owed.orders
    if orders is None or orders.journal not in (Journal.ASKED, Journal.BROKEN):
        return
    if orders.journal is Journal.ASKED:
        orders.journal, orders.trouble = Journal.BROKEN, "no answer"
        core.book_is_open()
    look_up(core)


def keep_changes(core: Core) -> None:
    """Have the journal keep what has changed; nobody waits for it."""
    orders = core.owed.orders
    if orders is not None and orders.journal is Journal.OPEN and not core.desk.disk_rests:
        page = orders.table.take_page()
        if page is not None:
            token = orders.next_token()
            orders.pages[token] = page
            core.effects.append(WriteDown(token, page))
