"""What the rows of the lifecycle table have done: the actions that `core` carries out as it moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from backstay.protocol.handshake import VersionRange, greeting
from backstay.session import roll_call
from backstay.session.causes import ON_PURPOSE, Cause
from backstay.session.failover import back_off, follow, park, plan_return, return_after_loss
from backstay.session.hearsay import ask
from backstay.session.lifecycle import Action, Link
from backstay.session.notices import Notice
from backstay.session.order_journal import keep_changes
from backstay.session.ordering import begin_round
from backstay.session.own_words import TellBack
from backstay.session.reasons import Reason
from backstay.session.settings import capped
from backstay.session.sieve_words import Hush, Tune
from backstay.session.telling import tell_failed, tell_lost
from backstay.session.upstream import FIRST_PATIENCE_SECONDS, note_recovery
from backstay.session.vocabulary import Arm, Count, Dial, HangUp, Leave, Observe, Settle, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core


def _dial(core: Core) -> None:
    owed, settings = core.owed, core.settings
    if owed.offer is None:
        return  # the client has not greeted yet; its greeting brings us here again
    if core.detour is None:
        core.redirects = 0
        follow(core)
    core.dialled = core.detour or core.endpoints.present
    core.detour = None
    owed.epoch += 1
    core.live, core.was_ready = True, False
    core.desk.away = Reason.AWAY
    core.identified = set()
    core.link = Link.UNKNOWN
    core.broken_farms, core.to_ask, core.reconcile_due = set(), [], None
    core.broken_since, core.called = {}, []
    core.dialled_at = core.now
    core.desk.epoch, core.desk.endpoint = owed.epoch, core.endpoints.present
    core.pulse.begin()
    core.offered = VersionRange(owed.version, owed.version) if owed.version is not None else capped(owed.offer)
    host, port = core.dialled
    core.effects.append(Tune(owed.epoch, owed.next_id_given, owed.accounts_given))
    core.effects.append(Dial(owed.epoch, host, port, greeting(core.offered, owed.options), settings.dial_seconds))
    core.effects.append(Count("connect_attempts"))


def _hang_up(core: Core) -> None:
    if not core.live:
        return
    core.live = False
    if core.link is Link.DOWN:
        core.effects.append(Count("upstream_interruptions", "unknown"))
    core.effects += [HangUp(core.owed.epoch), Hush(core.owed.epoch)]
    cause = core.trouble[0]
    if core.was_ready:
        tell_lost(core)
        core.lost_at = None if cause in ON_PURPOSE else core.now
        return_after_loss(core)
    elif cause is not Cause.SHUTDOWN:  # nobody wants it any more, which is no failure of the gateway's
        tell_failed(core)
        if core.detour is None and cause not in ON_PURPOSE:
            core.endpoints.turn()


def _grieve(core: Core) -> None:
    core.desk.break_off(core.trouble[0].value, core.now)
    if core.owed.has_client and not core.owed.introduced and core.cached is not None:
        core.introduce_client(core.cached)
    core.tell_down()


def _introduce(core: Core) -> None:
    if core.owed.start is not None:
        core.send_start()


def _restore(core: Core) -> None:
    core.desk.restore(lambda: begin_round(core))


def _announce(core: Core) -> None:
    core.was_ready, core.ready_at, core.reason = True, core.now, ""
    core.owed.ready_epoch = core.owed.epoch
    plan_return(core)
    if not core.owed.has_client:
        core.effects.append(TellBack(core.owed.epoch))
    elif core.desk.told_down:
        core.desk.say(Notice.GATEWAY_BACK)
    core.desk.told_down = False
    core.effects.append(Observe("connect_duration", core.now - core.dialled_at))
    note_recovery(core)
    core.effects.append(Arm(Timer.STABLE, core.settings.stable_seconds))
    roll_call.begin(core)
    ask(core)


def _settle(core: Core) -> None:
    if core.link is Link.UP:
        core.upstream_patience_seconds = FIRST_PATIENCE_SECONDS
    core.endpoints.forget()
    core.effects.append(Settle())


def _end(core: Core) -> None:
    core.desk.open = False
    core.desk.farewell(core.trouble[1] or core.trouble[0].row.sentence)
    keep_changes(core)
    core.effects.append(Leave())


def _probe(core: Core) -> None:
    core.probe()


ACTS: dict[Action, Callable[[Core], None]] = {
    Action.DIAL: _dial,
    Action.HANG_UP: _hang_up,
    Action.GRIEVE: _grieve,
    Action.BACK_OFF: back_off,
    Action.PARK: park,
    Action.INTRODUCE: _introduce,
    Action.PROBE: _probe,
    Action.RESTORE: _restore,
    Action.ANNOUNCE: _announce,
    Action.SETTLE: _settle,
    Action.END: _end,
}
