"""The rooms at the root, the map in pyproject.toml and the links under src/ name the same packages.

A room that is missing from one of the three installs in one way and not in another, or is invisible to the type
checkers, without any tool complaining. The rules are functions over a folder, so that each can be shown to fail.
"""

import importlib
import importlib.metadata
import importlib.resources
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_ROOMS = {"src", "tests"}


def setuptools_table(root: Path) -> dict[str, object]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def mapped_rooms(root: Path) -> dict[str, str]:
    """Package name without the leading ``backstay.`` -> folder, for every entry but the hall."""
    package_dir = setuptools_table(root)["package-dir"]
    return {name.removeprefix("backstay."): folder for name, folder in package_dir.items() if name != "backstay"}


def root_rooms(root: Path) -> set[str]:
    """Folders with an ``__init__.py`` at the root and below the rooms, in dotted form."""
    found = set()
    for marker in sorted(root.glob("*/**/__init__.py")):
        parts = marker.parent.relative_to(root).parts
        if parts[0] not in NOT_ROOMS and not any(part.startswith(".") or part == "build" for part in parts):
            found.add(".".join(parts))
    return found


def hall_packages(root: Path) -> set[str]:
    """Real sub-folders of the hall (links belong to the rooms) that hold Python files."""
    return {
        entry.name
        for entry in (root / "src" / "backstay").iterdir()
        if entry.is_dir() and not entry.is_symlink() and any(entry.glob("*.py"))
    }


def links(root: Path) -> dict[str, str]:
    return {
        entry.name: str(entry.readlink())
        for entry in sorted((root / "src" / "backstay").iterdir())
        if entry.is_symlink()
    }


def layout_problems(root: Path) -> list[str]:
    """Everything in which the folders, the map, the list of packages and the links disagree."""
    table = setuptools_table(root)
    rooms = mapped_rooms(root)
    top = {name for name in rooms if "." not in name}
    problems = []
    if set(table["packages"]) != set(table["package-dir"]):
        problems.append(f"packages and package-dir differ: {set(table['packages']) ^ set(table['package-dir'])}")
    if len(table["packages"]) != len(set(table["packages"])):
        problems.append("packages lists one twice")
    if root_rooms(root) != set(rooms):
        problems.append(f"root folders and package-dir differ: {root_rooms(root) ^ set(rooms)}")
    if set(links(root)) != top:
        problems.append(f"links and package-dir differ: {set(links(root)) ^ top}")
    if hall_packages(root):
        problems.append(f"folders in the hall that are no links: {hall_packages(root)}")
    problems += [f"{name} is mapped to {path}" for name, path in rooms.items() if path != name.replace(".", "/")]
    problems += [f"link {name} leads to {to}" for name, to in links(root).items() if to != f"../../{name}"]
    return problems


def banned_problems(root: Path) -> list[str]:
    """Rooms that can be imported by their bare name without ruff objecting."""
    ruff = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    banned = set(ruff["lint"]["flake8-tidy-imports"]["banned-api"])
    top = {name for name in mapped_rooms(root) if "." not in name}
    return sorted(banned ^ top)


def made_up_tree(root: Path, *rooms: str) -> Path:
    """A small tree that keeps every rule: the hall and the given rooms."""
    hall = root / "src" / "backstay"
    hall.mkdir(parents=True)
    (hall / "__init__.py").touch()
    for room in rooms:
        (root / room).mkdir()
        (root / room / "__init__.py").touch()
        (hall / room).symlink_to(f"../../{room}")
    names = ["backstay", *(f"backstay.{room}" for room in rooms)]
    mapping = "\n".join(f'"backstay.{room}" = "{room}"' for room in rooms)
    banned = "\n".join(f'"{room}".msg = "no"' for room in rooms)
    (root / "pyproject.toml").write_text(
        f"[tool.setuptools]\npackages = {names}\n"
        f'[tool.setuptools.package-dir]\n"backstay" = "src/backstay"\n{mapping}\n'
        f"[tool.ruff.lint.flake8-tidy-imports.banned-api]\n{banned}\n",
        encoding="utf-8",
    )
    return root


@pytest.mark.checkout
def test_folders_map_packages_and_links_agree():
    assert layout_problems(ROOT) == []


@pytest.mark.checkout
def test_every_room_is_banned_under_its_bare_name():
    assert banned_problems(ROOT) == []


@pytest.mark.checkout
def test_the_marker_of_typed_packages_is_declared():
    assert "py.typed" in setuptools_table(ROOT)["package-data"]["backstay"]


def test_the_marker_of_typed_packages_is_shipped():
    assert importlib.resources.files("backstay").joinpath("py.typed").is_file()


def test_the_distribution_puts_one_name_at_the_top_level():
    top_level = importlib.metadata.distribution("backstay").read_text("top_level.txt")
    assert (top_level or "").split() == ["backstay"]


def test_every_room_imports_under_the_name_of_the_product():
    rooms = ("actors", "control", "metrics", "protocol", "relay", "session", "simulator", "supervisor")
    for room in rooms:
        assert importlib.import_module(f"backstay.{room}").__name__ == f"backstay.{room}"


def test_a_tree_that_keeps_the_rules_passes(tmp_path: Path):
    tree = made_up_tree(tmp_path, "one", "two")
    assert layout_problems(tree) == []
    assert banned_problems(tree) == []


def new_room(tree: Path) -> None:
    (tree / "journal").mkdir()
    (tree / "journal" / "__init__.py").touch()


def new_room_within_a_room(tree: Path) -> None:
    (tree / "one" / "inner").mkdir()
    (tree / "one" / "inner" / "__init__.py").touch()


def lost_link(tree: Path) -> None:
    (tree / "src" / "backstay" / "one").unlink()


def absolute_link(tree: Path) -> None:
    lost_link(tree)
    (tree / "src" / "backstay" / "one").symlink_to(tree / "one")


def copy_in_place_of_a_link(tree: Path) -> None:
    lost_link(tree)
    (tree / "src" / "backstay" / "one").mkdir()
    (tree / "src" / "backstay" / "one" / "__init__.py").touch()


def unlisted_package(tree: Path) -> None:
    edit(tree, "'backstay.two'", "'backstay.one'")


def room_elsewhere(tree: Path) -> None:
    edit(tree, '"backstay.one" = "one"', '"backstay.one" = "two"')


def edit(tree: Path, old: str, new: str) -> None:
    project = tree / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    assert old in text
    project.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    "damage",
    [
        new_room,
        new_room_within_a_room,
        lost_link,
        absolute_link,
        copy_in_place_of_a_link,
        unlisted_package,
        room_elsewhere,
    ],
)
def test_a_damaged_tree_is_found(tmp_path: Path, damage: Callable[[Path], None]):
    tree = made_up_tree(tmp_path, "one", "two")
    damage(tree)
    assert layout_problems(tree)


def test_a_room_that_is_not_banned_by_its_bare_name_is_found(tmp_path: Path):
    tree = made_up_tree(tmp_path, "one", "two")
    edit(tree, '"two".msg = "no"', "")
    assert banned_problems(tree) == ["two"]


@pytest.mark.checkout
def test_pyright_is_told_every_link_by_name():
    include = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pyright"]["include"]
    assert sorted(include) == sorted(["src/backstay", *(f"src/backstay/{name}" for name in links(ROOT))])
