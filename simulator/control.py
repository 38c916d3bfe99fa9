"""The control port, over plain HTTP: the rows of ``ROUTES``, by which it dispatches and docs/http.md is written."""

import inspect
import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import UnionType
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args

from backstay.simulator.faults import COMMANDS

if TYPE_CHECKING:
    from backstay.simulator.server import Simulator

BODY_BYTES_MAX = 65536
"""A fault's arguments are a few dozen bytes; more is a mistake."""

NAME = "NAME"
"""Stands in the path of a route for what comes there."""


class Route(NamedTuple):
    """What can be asked here. ``page`` makes the answer of the simulator, the name in the path, and the body."""

    method: str
    path: str
    meaning: str
    page: Callable[["Simulator", str, bytes], object]


class BadRequest(Exception):  # noqa: N818  (HTTP's own name for it)
    """A request the control port can not carry out; ``status`` and the text go into the answer."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class ControlServer:
    """Serves the control port of one simulator in daemon threads of its own."""

    def __init__(self, simulator: "Simulator", listen: tuple[str, int]) -> None:
        self._server = ThreadingHTTPServer(listen, _handler_for(simulator))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="simulator-control", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; the real port when 0 was asked for."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and close the port."""
        if self._thread.is_alive():  # shutdown() waits for ever for a server that was never started
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def run_fault(simulator: "Simulator", name: str, body: bytes) -> None:
    """Carry out one fault; ``BadRequest`` says what is wrong with its name or arguments."""
    command = COMMANDS.get(name)
    if command is None:
        raise BadRequest(HTTPStatus.NOT_FOUND, f"no fault {name!r}; there are {', '.join(COMMANDS)}")
    arguments = _read_object(body)
    _check(name, arguments, _parameters(name))
    try:
        command(simulator.faults, **arguments)
    except (ValueError, LookupError, OSError) as error:
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"{name}: {error}") from error


def _run(simulator: "Simulator", name: str, body: bytes) -> object:
    run_fault(simulator, name, body)
    return {"ok": True}


def _list(_simulator: "Simulator", _name: str, _body: bytes) -> object:
    return {name: {key: str(p) for key, p in _parameters(name).items()} for name in COMMANDS}


def _tell(simulator: "Simulator", _name: str, _body: bytes) -> object:
    return simulator.state()


ROUTES = (
    Route("GET", "/state", "The gateway's state: sockets, clients with their requests, orders, faults.", _tell),
    Route("GET", "/faults", "All faults, each with its arguments.", _list),
    Route("POST", f"/faults/{NAME}", "Lets a [fault](faults.md) happen; the body is a JSON object, or empty.", _run),
)

REFUSALS = {
    HTTPStatus.BAD_REQUEST: "an argument is missing, unknown or of the wrong kind, or the body is no JSON object",
    HTTPStatus.NOT_FOUND: "there is no such path, or no such fault",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"the body is longer than {BODY_BYTES_MAX} bytes",
}
"""Every status of a ``BadRequest``, and what it means."""


def find_route(method: str, path: str) -> tuple[Route, str]:
    """The row for this, and the name in its path. ``BadRequest`` where there is none."""
    for row in ROUTES:
        before, name, _ = row.path.partition(NAME)
        if row.method == method and (path.startswith(before) if name else path == before):
            return row, path.removeprefix(before)
    raise BadRequest(HTTPStatus.NOT_FOUND, f"there is {', '.join(f'{row.method} {row.path}' for row in ROUTES)}")


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    parameters = dict(inspect.signature(COMMANDS[name]).parameters)
    del parameters["self"]
    return parameters


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(body or b"{}")
    except ValueError as error:
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    return cast("dict[str, Any]", value)


def _check(name: str, arguments: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> None:
    for key, value in arguments.items():
        if key not in parameters:
            known = ", ".join(parameters) or "none"
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"{name} has no argument {key!r}; it has {known}")
        if not _fits(value, parameters[key].annotation):
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"{name}: {key} can not be {value!r}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in arguments:
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"{name} needs {key}")


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, UnionType):
        return any(_fits(value, one) for one in get_args(wanted))
    if isinstance(value, bool) or wanted is bool:
        return isinstance(value, bool) and wanted is bool
    return isinstance(value, (int, float) if wanted is float else wanted)


def _handler_for(simulator: "Simulator") -> type["_Handler"]:
    class Handler(_Handler):
        pass

    Handler.simulator = simulator
    return Handler


class _Handler(BaseHTTPRequestHandler):
    """One request of a person or a test."""

    protocol_version = "HTTP/1.1"
    simulator: "Simulator"

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name in the base class)
        """Say nothing: the simulator prints one line only."""

    def _respond(self) -> None:
        answer: object
        try:
            body = self._body()
            row, name = find_route(self.command, self.path)
            status, answer = HTTPStatus.OK, row.page(self.simulator, name, body)
        except BadRequest as error:
            status, answer = error.status, {"error": str(error)}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length") or "0"
        if not (length.isascii() and length.isdigit()) or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {BODY_BYTES_MAX} bytes")
        return self.rfile.read(int(length))
