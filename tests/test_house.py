"""House rules that can be counted: sizes, docstrings, no notes to self, no sleeping.

Small modules and functions keep the product readable; a sleep in a test makes it slow or flaky, and a sleep in an actor
makes it deaf. Every rule is a function over a folder and is shown to fail on a made-up one.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("actors", "control", "metrics", "protocol", "relay", "session", "simulator", "supervisor")
MODULE_LINES_MAX = 400
TEST_LINES_MAX = 700  # cases are read one at a time, and are better found together than scattered
FUNCTION_LINES_MAX = 70  # with its docstring: one screen

# Written apart so that this file does not find itself.
NOTES = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def product(root: Path) -> Iterator[Path]:
    yield from sorted((root / "src" / "backstay").glob("*.py"))
    for room in ROOMS:
        yield from sorted((root / room).rglob("*.py"))


def modules_of_tests(root: Path) -> Iterator[Path]:
    yield from sorted((root / "tests").rglob("*.py"))


def everything(root: Path) -> Iterator[Path]:
    yield from product(root)
    yield from modules_of_tests(root)
    yield from sorted((root / "bench").rglob("*.py"))
    yield from sorted((root / "deploy").rglob("*.py"))


def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def long_modules(root: Path) -> list[str]:
    modules = (path for path in everything(root) if not path.name.endswith("_data.py"))  # tables of bytes for tests
    sizes = ((path, len(path.read_text(encoding="utf-8").splitlines())) for path in modules)
    return [f"{path.relative_to(root)}: {lines} lines" for path, lines in sizes if lines > lines_max(root, path)]


def lines_max(root: Path, path: Path) -> int:
    return TEST_LINES_MAX if path.relative_to(root).parts[0] == "tests" else MODULE_LINES_MAX


def long_functions(root: Path) -> list[str]:
    problems = []
    for path in everything(root):
        for node in ast.walk(syntax(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    problems.append(f"{path.relative_to(root)}:{node.lineno}: {node.name} has {lines} lines")
    return problems


def notes_to_self(root: Path) -> list[str]:
    """Comments that say that work is left; what is left belongs into an issue, or is done."""
    problems = []
    for path in everything(root):
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        problems += [
            f"{path.relative_to(root)}:{token.start[0]}: {token.string.strip()[:60]}"
            for token in tokens
            if token.type in {tokenize.COMMENT, tokenize.STRING} and NOTES.search(token.string)
        ]
    return problems


def sleeps(root: Path) -> list[str]:
    """``time.sleep`` under any name, in the product and in its tests: wait for the event instead."""
    problems = []
    for path in (*product(root), *modules_of_tests(root)):
        for node in ast.walk(syntax(path)):
            by_module = isinstance(node, ast.Attribute) and node.attr == "sleep"
            by_name = isinstance(node, ast.ImportFrom) and any(alias.name == "sleep" for alias in node.names)
            if (by_module and ast.unparse(node) == "time.sleep") or by_name:
                problems.append(f"{path.relative_to(root)}:{node.lineno}: sleeps")
    return problems


def missing_docstrings(root: Path) -> list[str]:
    """Public functions and classes at module level; what they mean is not for the reader to guess."""
    problems = []
    for path in product(root):
        for node in syntax(path).body:
            named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if named and not node.name.startswith("_") and not ast.get_docstring(node):
                problems.append(f"{path.relative_to(root)}:{node.lineno}: {node.name} has no docstring")
    return problems


def broken_links(root: Path) -> list[str]:
    """Links in the documents to files that are not there."""
    return [
        f"{path.relative_to(root)}: {target}"
        for path in (*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md")))
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]


def shared_numbers(root: Path) -> list[str]:
    """Decisions with the number of another one, or that call themselves by another number."""
    seen: dict[str, Path] = {}
    problems: list[str] = []
    for path in sorted((root / "docs" / "decisions").glob("*.md")):
        number = path.name.partition("-")[0]
        if seen.setdefault(number, path) != path or not path.read_text(encoding="utf-8").startswith(f"# {number}"):
            problems.append(str(path.relative_to(root)))
    return problems


RULES = [long_modules, long_functions, notes_to_self, sleeps, missing_docstrings, broken_links, shared_numbers]


@pytest.mark.checkout
@pytest.mark.parametrize("rule", RULES)
def test_the_tree_keeps_the_rule(rule):
    assert rule(ROOT) == []


def write(root: Path, name: str, code: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    return root


def long_function(lines: int) -> str:
    return "def _work():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("rule", "name", "code"),
    [
        (long_modules, "session/core.py", "x = 1\n" * (MODULE_LINES_MAX + 1)),
        (long_modules, "tests/test_core.py", "x = 1\n" * (TEST_LINES_MAX + 1)),
        (long_functions, "relay/desk.py", long_function(FUNCTION_LINES_MAX + 1)),
        (long_functions, "src/backstay/cli.py", "async " + long_function(FUNCTION_LINES_MAX + 1)),
        (notes_to_self, "relay/desk.py", "x = 1  # " + "TO" + "DO: later\n"),
        (notes_to_self, "relay/desk.py", '"""' + "FIX" + 'ME"""\n'),
        (sleeps, "tests/test_core.py", "import time\ntime.sleep(1)\n"),
        (sleeps, "tests/relay/test_desk.py", "from time import sleep\n"),
        (sleeps, "actors/reader.py", "import time\nwait = time.sleep\n"),
        (missing_docstrings, "session/core.py", "def step():\n    return 1\n"),
        (missing_docstrings, "session/core.py", "class State:\n    x = 1\n"),
        (missing_docstrings, "src/backstay/manager.py", "async def run():\n    return 1\n"),
        (broken_links, "README.md", "see [there](docs/there.md)\n"),
        (broken_links, "docs/here.md", "see [there](README.md#part)\n"),
        (shared_numbers, "docs/decisions/0002-here.md", "# 0001 Here\n"),
    ],
)
def test_a_breach_of_the_rule_is_found(tmp_path: Path, rule, name: str, code: str):
    assert rule(write(tmp_path, name, code))


@pytest.mark.parametrize(
    ("rule", "name", "code"),
    [
        (long_modules, "session/core.py", "x = 1\n" * MODULE_LINES_MAX),
        (long_functions, "session/core.py", long_function(FUNCTION_LINES_MAX)),
        (notes_to_self, "session/core.py", "# the XXXL frame\n"),
        (sleeps, "actors/reader.py", "self.sleep = 1\n"),
        (missing_docstrings, "session/core.py", "def _step():\n    return 1\n"),
        (broken_links, "docs/here.md", "[here](here.md#part) [folder](../docs/) [elsewhere](https://example.org/)\n"),
        (missing_docstrings, "session/core.py", 'def step():\n    """Advances by one event."""\n'),
    ],
)
def test_what_is_allowed_is_not_held_up(tmp_path: Path, rule, name: str, code: str):
    assert rule(write(tmp_path, name, code)) == []
