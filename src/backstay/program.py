"""The daemon as a program: configuration, log, signals, one line when it is ready, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from backstay._version import __version__
from backstay.commands import complain, say
from backstay.config import Config, load
from backstay.control.vocabulary import CONFIG_VARIABLE, DEFAULT_CONFIG, SOCKET_VARIABLE, Exit
from backstay.daemon import Daemon
from backstay.errors import ConfigError, NoConfigError, Problem, StartError
from backstay.event_store import EventStore
from backstay.logs import EventLog, catch_strays
from backstay.metrics.events import EventRing
from backstay.places import make_runtime_folder, simulator_socket
from backstay.service_manager import ServiceManager
from backstay.signals import STOPPING, Calls, calls
from backstay.simulated import Simulated, aim_at, simulators

SWITCH_SECONDS = 0.0005
"""A tenth of Python's default: a scrape or a busy actor must not keep the others waiting for milliseconds."""

_ACTIONS: Mapping[str, Callable[[Daemon], None]] = {"SIGHUP": Daemon.reload, "SIGUSR1": Daemon.dump}
"""Signals that ask for something other than the end."""

NOBODY = "127.0.0.1:1"
"""Stands for the simulated gateway until that has a port."""


def run(file: Path | None, *, simulate: bool, environ: Mapping[str, str]) -> Exit:
    """Run until SIGTERM or SIGINT. Main thread only, because of the signals."""
    with ExitStack() as stack:
        wishes = stack.enter_context(calls(others=tuple(_ACTIONS)))
        try:
            config = configuration(file, simulate=simulate, environ=environ)
            simulated = stack.enter_context(simulators(config)) if simulate else ()
        except ConfigError as error:
            complain(str(error))
            return exit_of(error)
        except OSError as error:
            return _refused(f"the simulated gateway cannot start: {error}")
        sys.setswitchinterval(SWITCH_SECONDS)
        aimed = aim_at(simulated, config)
        store = EventStore(aimed.journal.path, aimed.control.socket)
        stack.callback(store.close)
        events = EventRing(keeper=store)
        log = EventLog(config.log, follow=events.publish)
        stack.callback(log.close)
        stack.callback(catch_strays(log))

        def again() -> Config:
            return aim_at(simulated, configuration(file, simulate=simulate, environ=environ))

        service = ServiceManager(environ)
        daemon = Daemon(aimed, log=log, events=events, on_end=wishes.put, load=again, service=service)
        try:
            daemon.start()
        except StartError as error:
            return _refused(str(error))
        store.tell_by(lambda reason: log("events_not_kept", reason=reason))
        return _serve(daemon, simulated, wishes)


def configuration(file: Path | None, *, simulate: bool, environ: Mapping[str, str]) -> Config:
    """The file that was named here or in the environment, or lies in this folder; else the environment alone.

    Raises ConfigError.
    """
    named = file or environ.get(CONFIG_VARIABLE)
    if simulate and not named:
        return _for_simulator(environ)
    path = Path(named or DEFAULT_CONFIG)
    if named or path.exists():
        return load(path, environ)
    try:
        return load(None, environ)
    except ConfigError as error:
        advice = f"no {path} here: name one with --config, or try `backstay run --simulator`"
        raise ConfigError([*error.problems, Problem("backstay", "", advice)]) from error


def exit_of(error: ConfigError) -> Exit:
    """A file that is not there was named wrongly, as any other word of a command; one that is there is wrong itself."""
    return Exit.USAGE if isinstance(error, NoConfigError) else Exit.FAILED


def _for_simulator(environ: Mapping[str, str]) -> Config:
    config = Config.simulator_defaults(NOBODY, environ=environ)
    if environ.get(SOCKET_VARIABLE):
        return config
    # Not in the current folder, where nobody asked for it; where `backstay status` looks without being told.
    port = next((relay.listen.port for relay in config.relays.values()), 0)
    try:
        socket = simulator_socket(make_runtime_folder(environ), port)
    except OSError as error:
        raise ConfigError([Problem("simulator defaults", "control.socket", str(error))]) from error
    control = config.control.model_copy(update={"socket": socket, "holds": socket.with_suffix(".holds")})
    return config.model_copy(update={"control": control})


def _refused(reason: str) -> Exit:
    complain(f"backstay: {reason}")
    return Exit.FAILED


def _serve(daemon: Daemon, simulated: Sequence[Simulated], wishes: Calls) -> Exit:
    log = daemon.log
    ready = ", ".join([daemon.doors(), *map(str, simulated)])
    log("started", version=__version__, pid=os.getpid(), doors=ready)
    with suppress(OSError):  # nobody reads it: no reason not to run
        say(f"backstay {__version__} is ready: {ready}")
    daemon.tell_ready()
    while (action := _ACTIONS.get(reason := wishes.next())) is not None:
        action(daemon)
    log("stopping", reason=reason)
    daemon.stop()
    log("stopped")
    return Exit.OK if reason in STOPPING else Exit.FAILED
