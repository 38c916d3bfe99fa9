"""Imports run downward only, pure rooms stay pure, and nothing in the supervision tree waits without a limit.

The rules are read off the syntax trees: an import inside a function or under TYPE_CHECKING counts as well, since it
ties the rooms together all the same. Every rule is a function over a folder and is shown to fail on a made-up one.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HALL = "hall"

# room -> the rooms it may import, besides itself
ALLOWED = {
    HALL: {"control", "relay", "actors", "supervisor", "metrics", "session", "protocol", "simulator"},
    "control": {"relay", "actors", "supervisor", "metrics", "session", "protocol"},
    "relay": {"actors", "supervisor", "metrics", "session", "protocol"},
    "actors": {"supervisor", "metrics", "session", "protocol"},
    "supervisor": {"metrics"},  # knows who lives, and nothing of TWS
    "metrics": {"session", "protocol"},
    "session": {"protocol"},
    "protocol": set(),
    "simulator": {"protocol"},
}

PURE = {"protocol", "session"}

# What would bring waiting, sockets, clocks, chance or side effects into a pure room. Beyond these they may use the
# standard library and nothing else.
IMPURE = {
    "_thread",
    "asyncio",
    "concurrent",
    "logging",
    "multiprocessing",
    "queue",
    "random",
    "sched",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uuid",
}

# Packages with one home. ibapi is GPL-3 and must not be linked; ib_async is a foreign client like it.
ONLY_IN = {
    "prometheus_client": {"metrics"},
    "pykka": {HALL, "supervisor", "actors", "relay", "control"},
    "tenacity": {"supervisor"},
    "ibapi": set(),
    "ib_async": set(),
}

CLOCK_READS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def sources(root: Path) -> Iterator[tuple[str, Path]]:
    """Every product module with its room."""
    for path in sorted((root / "src" / "backstay").glob("*.py")):
        yield HALL, path
    for room in ALLOWED:
        for path in sorted((root / room).rglob("*.py")):
            yield room, path


def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported; relative names are completed with ``package``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, base] if base else parent)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and called(node)[1] in {"import_module", "__import__"}:
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield node.lineno, argument.value


def called(node: ast.Call) -> tuple[str, str]:
    """Last two parts of what is called: ``("datetime", "now")``; the first is empty for a bare name."""
    target = node.func
    if isinstance(target, ast.Name):
        return "", target.id
    if not isinstance(target, ast.Attribute):
        return "", ""
    owner = target.value
    if isinstance(owner, ast.Attribute):
        return owner.attr, target.attr
    return (owner.id if isinstance(owner, ast.Name) else ""), target.attr


def package_of(root: Path, room: str, path: Path) -> str:
    if room == HALL:
        return "backstay"
    return ".".join(("backstay", *path.relative_to(root).parent.parts))


def room_of(name: str) -> str | None:
    """The room that a dotted name lives in; None for what is not ours."""
    parts = name.split(".")
    if parts[0] != "backstay":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else HALL


def upward_imports(root: Path) -> list[str]:
    problems = []
    for room, path in sources(root):
        for line, name in imported(syntax(path), package_of(root, room, path)):
            target = room_of(name)
            if target is not None and target != room and target not in ALLOWED[room]:
                problems.append(f"{path.relative_to(root)}:{line}: {room} may not import {target} ({name})")
    return problems


def misplaced_packages(root: Path) -> list[str]:
    problems = []
    for room, path in sources(root):
        for line, name in imported(syntax(path), package_of(root, room, path)):
            top = name.split(".")[0]
            if top in ONLY_IN and room not in ONLY_IN[top]:
                problems.append(f"{path.relative_to(root)}:{line}: {top} has no place in {room}")
    return problems


def impurities(root: Path) -> list[str]:
    """What a pure room must not touch: packages, impure modules, and reads of the wall clock."""
    problems = []
    for room, path in sources(root):
        if room not in PURE:
            continue
        tree = syntax(path)
        for line, name in imported(tree, package_of(root, room, path)):
            top = name.split(".")[0]
            if top in IMPURE or (top != "backstay" and top not in sys.stdlib_module_names):
                problems.append(f"{path.relative_to(root)}:{line}: pure room imports {name}")
        problems += [
            f"{path.relative_to(root)}:{node.lineno}: pure room reads a clock"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and called(node) in CLOCK_READS
        ]
    return problems


def endless_waits(root: Path) -> list[str]:
    """``.ask(...)`` at all, and ``.get()`` without arguments: either can hang an actor for good."""
    problems = []
    for room, path in sources(root):
        if room in PURE:  # no actor can be reached from there, so the names mean something else
            continue
        for node in ast.walk(syntax(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name = node.func.attr
            if name == "ask" or (name == "get" and not node.args and not node.keywords):
                problems.append(f"{path.relative_to(root)}:{node.lineno}: .{name}() may wait for ever")
    return problems


RULES = [upward_imports, misplaced_packages, impurities, endless_waits]


@pytest.mark.checkout
@pytest.mark.parametrize("rule", RULES)
def test_the_product_keeps_the_rule(rule):
    assert rule(ROOT) == []


@pytest.mark.checkout
def test_every_room_has_its_line_in_the_table():
    rooms = {marker.parent.name for marker in ROOT.glob("*/__init__.py") if marker.parent.name != "tests"}
    assert rooms | {HALL} == set(ALLOWED)


def test_the_table_has_no_way_round():
    for room, below in ALLOWED.items():
        for other in below:
            assert room not in ALLOWED[other], f"{room} and {other} import each other"


def made_up_tree(root: Path, room: str, code: str) -> Path:
    folder = root / "src" / "backstay" if room == HALL else root / room
    folder.mkdir(parents=True)
    (folder / "module.py").write_text(code, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("rule", "room", "code"),
    [
        (upward_imports, "protocol", "import backstay.session.core"),
        (upward_imports, "protocol", "from backstay import session"),
        (upward_imports, "protocol", "from backstay.session.core import step"),
        (upward_imports, "session", "from backstay.actors import reader"),
        (upward_imports, "metrics", "from backstay.config import Config"),
        (upward_imports, "relay", "import backstay"),
        (upward_imports, "relay", "from backstay import __version__"),
        (upward_imports, "simulator", "from backstay.session import core"),
        (upward_imports, "supervisor", "from backstay.protocol import framing"),
        (upward_imports, "actors", "def late():\n    from backstay.relay import desk"),
        (upward_imports, "actors", "if TYPE_CHECKING:\n    from backstay.control import socket"),
        (upward_imports, "actors", "from ..relay import desk"),
        (upward_imports, "actors", "from .. import relay"),
        (upward_imports, "actors", "importlib.import_module('backstay.relay')"),
        (misplaced_packages, HALL, "from prometheus_client import Counter"),
        (misplaced_packages, "actors", "import prometheus_client.core"),
        (misplaced_packages, "actors", "import tenacity"),
        (misplaced_packages, "metrics", "import pykka"),
        (misplaced_packages, "simulator", "def late():\n    from ibapi.client import EClient"),
        (misplaced_packages, HALL, "import ib_async"),
        *[(impurities, "session", f"import {name}") for name in ("threading", "socket", "time", "random", "logging")],
        *[
            (impurities, "protocol", f"import {name}")
            for name in ("pykka", "prometheus_client", "tenacity", "structlog")
        ],
        (impurities, "session", "from concurrent.futures import Future"),
        (impurities, "protocol", "from asyncio import Queue"),
        (impurities, "protocol", "import selectors"),
        (impurities, "session", "import datetime\nx = datetime.datetime.now()"),
        (impurities, "session", "from datetime import date\nx = date.today()"),
        (endless_waits, "actors", "answer = ref.ask(question)"),
        (endless_waits, "supervisor", "answer = ref.ask(question, timeout=1)"),
        (endless_waits, HALL, "answer = future.get()"),
    ],
)
def test_a_breach_of_the_rule_is_found(tmp_path: Path, rule, room: str, code: str):
    assert rule(made_up_tree(tmp_path, room, code))


@pytest.mark.parametrize(
    ("room", "code"),
    [
        (HALL, "from backstay import simulator, relay"),
        ("relay", "from backstay.actors import dispatcher\nfrom backstay.protocol.framing import frame"),
        ("session", "from . import vocabulary\nfrom .vocabulary import Step\nfrom backstay.protocol import codes"),
        ("session", "import datetime\nx = datetime.datetime.fromtimestamp(now, tz)"),
        ("metrics", "from prometheus_client.core import CounterMetricFamily"),
        ("supervisor", "import pykka, tenacity, threading"),
        ("simulator", "import socket, threading, time\nfrom backstay.protocol import framing"),
        ("actors", "x = table.get(key)\ny = inbox.get(timeout=1)\nz = askew(1)"),
    ],
)
def test_what_is_allowed_is_not_held_up(tmp_path: Path, room: str, code: str):
    tree = made_up_tree(tmp_path, room, code)
    assert [problem for rule in RULES for problem in rule(tree)] == []
