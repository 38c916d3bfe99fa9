"""What the tree looks like to the metrics, and where unasked files go."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from backstay import cli_asking, places
from backstay.cli_asking import client_of
from backstay.config import Config
from backstay.control.client import is_there
from backstay.control.vocabulary import CONFIG_VARIABLE, SOCKET_VARIABLE
from backstay.keeping import Keeping
from backstay.places import make_runtime_folder, runtime_folder, simulator_socket
from backstay.supervisor.actor import Actor
from backstay.supervisor.root import Root
from backstay.supervisor.specs import ChildKind, ChildSpec, Intensity, Strategy, SupervisorSpec, no_log
from backstay.supervisor.supervisor import start_root, supervisor_child
from backstay.supervisor.tree import ChildState, TreeNode
from backstay.watching import Source, restarts_below


def node(path: str, *children: TreeNode, restarts: int = 0) -> TreeNode:
    kind = ChildKind.SUPERVISOR if children else ChildKind.WORKER
    name = path.rpartition("/")[2]
    return TreeNode(name, path, kind, ChildState.RUNNING, True, restarts, 1, 3, 9, 1.0, children)


TREE = node(
    "root",
    node(
        "root/connections",
        node("root/connections/keeper", node("root/connections/keeper/session", restarts=1), restarts=2),
        node("root/connections/paper-7", node("root/connections/paper-7/session", restarts=4)),
        node("root/connections/paper-8", node("root/connections/paper-8/session")),
    ),
    node("root/relays", node("root/relays/relay-paper")),
)


class Sleeper(Actor):
    """Does nothing but live, and die of whatever it is told."""

    def receive(self, message: object) -> None:
        raise RuntimeError(message)


def connection(name: str) -> ChildSpec:
    session = ChildSpec("session", Sleeper.start)
    return supervisor_child(name, SupervisorSpec(children=(session,), own_book=True))


class Watched:
    def __init__(self, root: Root | None) -> None:
        self.root = root
        self.keeping = Keeping(Config(), no_log)

    def names(self) -> dict[str, str]:
        return {"keeper": "keeper", "paper-7": "paper/1"}

    def meters(self):
        return ()


@pytest.fixture
def root():
    connections = SupervisorSpec(children=tuple(map(connection, ("keeper", "paper-7", "paper-8"))))
    relays = SupervisorSpec(children=(ChildSpec("relay-paper", Sleeper.start),))
    spec = SupervisorSpec(
        children=(supervisor_child("connections", connections), supervisor_child("relays", relays)),
        strategy=Strategy.ONE_FOR_ONE,
    )
    running = start_root(spec)
    yield running
    assert running.stop()


def test_actors_carry_the_name_of_their_connection_and_the_nameless_are_left_out(root):
    assert root.restart_child("root/connections/paper-7", "session") is None
    samples = {sample.name: sample for sample in Source(Watched(root)).actors()}
    assert set(samples) == {
        "root",
        "connections",
        "connections/keeper",
        "connections/keeper/session",
        "connections/paper/1",
        "connections/paper/1/session",
        "relays",
        "relays/relay-paper",
    }
    session = samples["connections/paper/1/session"]
    assert (session.supervisor, session.restarts, session.mailbox_length) == ("connections/paper/1", 0, 0)
    assert (session.operator_restarts, session.escalation_restarts, session.escalations) == (1, 0, 0)
    assert abs(session.last_progress_wall - time.time()) < 60
    assert session.mailbox_wait is not None
    assert samples["connections"].supervisor == samples["root"].supervisor == "root"


def test_a_supervisor_that_gave_up_is_told_apart_from_a_crash():
    restarted = threading.Event()

    def log(event: str, /, **fields: object) -> None:
        if event == "child_restarted" and fields["id"] == "keeper":
            restarted.set()

    session = ChildSpec("session", Sleeper.start)
    keeper = supervisor_child(
        "keeper", SupervisorSpec(children=(session,), own_book=True, intensity=Intensity(0, 60.0))
    )
    root = start_root(
        SupervisorSpec(children=(supervisor_child("connections", SupervisorSpec(children=(keeper,))),)), log=log
    )
    try:
        book = root.book.inner("keeper")
        assert book is not None
        assert book.send("session", "die")
        assert restarted.wait(15)
        samples = {sample.name: sample for sample in Source(Watched(root)).actors()}
    finally:
        assert root.stop()
    found = samples["connections/keeper"]
    assert (found.restarts, found.operator_restarts, found.escalation_restarts, found.escalations) == (0, 0, 1, 1)


def test_without_a_tree_there_are_no_actors():
    assert Source(Watched(None)).actors() == ()


def test_restarts_of_a_connection_are_those_of_all_its_actors():
    assert restarts_below(TREE) == {"keeper": 3, "paper-7": 4, "paper-8": 0}
    assert restarts_below(None) == {}


def test_the_runtime_folder_is_ours_alone(tmp_path):
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    folder = make_runtime_folder(environ)
    assert folder == runtime_folder(environ) == tmp_path / "backstay"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert make_runtime_folder(environ) == folder
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="belongs to this user alone"):
        make_runtime_folder(environ)


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "backstay").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        make_runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_without_a_runtime_directory_the_temporary_folder_will_do():
    for environ in ({}, {"XDG_RUNTIME_DIR": "/nonexistent"}, {"XDG_RUNTIME_DIR": "relative"}):
        assert runtime_folder(environ).name == f"backstay-{os.getuid()}"


def test_the_socket_of_a_simulation_is_named_after_its_port(tmp_path):
    assert simulator_socket(tmp_path).name == "simulator-7400.sock"
    assert simulator_socket(tmp_path, 0).name == f"simulator-pid{os.getpid()}.sock"


def test_a_command_that_is_told_nothing_finds_a_simulation_and_else_the_service(tmp_path, monkeypatch):
    for name in (SOCKET_VARIABLE, CONFIG_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    service = tmp_path / "service" / "backstay.sock"
    monkeypatch.setattr(cli_asking, "SERVICE_SOCKET", service)
    assert client_of(None, None).path == "backstay.sock"
    service.parent.mkdir()
    service.touch()
    assert client_of(None, None).path == str(service)
    assert client_of(None, "else.sock").path == "else.sock"
    simulated = simulator_socket(make_runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)}))
    simulated.touch()
    assert client_of(None, None).path == str(simulated)
    (tmp_path / "backstay.sock").touch()
    assert client_of(None, None).path == "backstay.sock"


@pytest.mark.checkout
def test_the_unit_and_the_image_have_their_socket_where_commands_look():
    root = Path(__file__).parents[2]
    for file in ("deploy/systemd/backstay.service", "deploy/docker/Dockerfile"):
        assert f"BACKSTAY_CONTROL__SOCKET={places.SERVICE_SOCKET}" in (root / file).read_text(encoding="utf-8")


def test_a_folder_that_is_closed_to_us_has_no_door(tmp_path, monkeypatch):
    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", closed)
    assert not is_there(tmp_path / "backstay.sock")
