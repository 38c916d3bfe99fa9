"""The control port: ``GET /state`` and ``POST /faults/NAME`` with a JSON object, over plain HTTP."""

import inspect
import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import UnionType
from typing import TYPE_CHECKING, Any, cast, get_args

from backstay.simulator.faults import COMMANDS

if TYPE_CHECKING:
    from backstay.simulator.server import Simulator

BODY_BYTES_MAX = 65536
"""A fault's arguments are a few dozen bytes; more is a mistake."""

_FAULTS = "/faults/"


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
        self._respond(self._get)

    def do_POST(self) -> None:
        self._respond(self._post)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name in the base class)
        """Say nothing: the simulator prints one line only."""

    def _get(self, _body: bytes) -> object:
        if self.path == "/state":
            return self.simulator.state()
        if self.path == "/faults":
            return {name: {key: str(p) for key, p in _parameters(name).items()} for name in COMMANDS}
        raise BadRequest(HTTPStatus.NOT_FOUND, "there are GET /state, GET /faults and POST /faults/NAME")

    def _post(self, body: bytes) -> object:
        if not self.path.startswith(_FAULTS):
            raise BadRequest(HTTPStatus.NOT_FOUND, "there is POST /faults/NAME")
        run_fault(self.simulator, self.path.removeprefix(_FAULTS), body)
        return {"ok": True}

    def _respond(self, work: Callable[[bytes], object]) -> None:
        answer: object
        try:
            status, answer = HTTPStatus.OK, work(self._body())
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
