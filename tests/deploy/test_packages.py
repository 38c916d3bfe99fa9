"""What deploy/ says about ports, paths and names is what the product does; its own checks are in `deploy.packages`."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backstay import __version__
from backstay.cli import COMMANDS, load
from backstay.commands import parameters
from backstay.config import Config
from deploy import checks
from deploy.packages import check

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KEY = re.compile(r"BACKSTAY_([A-Z]+)__([A-Z_]+)")
CONFIGURATIONS = sorted(DEPLOY.rglob("*.toml"))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.parent.name + "-" + path.stem)
def test_each_configuration_lets_clients_and_scrapers_in(path):
    tree = tomllib.loads(path.read_text())
    config = Config.model_validate(tree)
    assert [str(relay.listen) for relay in config.relays.values()] == ["0.0.0.0:7400"]
    if "http" in tree:
        assert str(config.http.listen) == "0.0.0.0:9464"
        assert "backstay" in [str(name) for name in config.http.hosts]


@pytest.mark.parametrize("name", ["docker/Dockerfile", "compose/compose.yaml", "systemd/backstay.service"])
def test_every_variable_that_is_set_is_a_key_of_the_configuration(name):
    keys = set(KEY.findall((DEPLOY / name).read_text()))
    assert keys
    for section, key in keys:
        fields = Config.model_fields[section.lower()].annotation.model_fields
        assert key.lower() in fields


def test_the_image_is_built_from_every_room_and_from_nothing_else():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    rooms = {line[1:] for line in ignored if line.startswith("!")}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"].values()
    assert {path.split("/")[0] for path in packages} == {name for name in rooms if (ROOT / name).is_dir()}


def test_the_tag_that_pods_ask_for_is_that_of_this_version():
    overlays = sorted((DEPLOY / "kubernetes" / "overlays").glob("*/kustomization.yaml"))
    texts = [path.read_text(encoding="utf-8") for path in overlays]
    texts.append((ROOT / "docs" / "deployment.md").read_text(encoding="utf-8"))
    for text in texts:
        tags = re.findall(r"\bname: backstay,.*? newTag: ([^ ]+) |-t backstay:(\S+)", text)
        assert {"".join(tag) for tag in tags} == {__version__}


def needed(name: str, known: set[str]) -> set[str]:
    """Names of all that an installed distribution needs here, extras left out."""
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        other = canonicalize_name(requirement.name)
        if other not in known and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            known.add(other)
            needed(other, known)
    return known


def test_all_that_the_image_installs_has_its_version_told():
    lines = (DEPLOY / "docker" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    told = {canonicalize_name(line.partition("==")[0]) for line in lines if not line.startswith("#")}
    assert needed("backstay", set()) <= told
    assert {"pykka", "pydantic-core"} <= needed("backstay", set())
    image = (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert "--constraint deploy/docker/constraints.txt" in image
    assert "!deploy/docker/constraints.txt" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_systemd_leaves_a_reload_the_time_that_it_takes():
    unit = (DEPLOY / "systemd" / "backstay.service").read_text(encoding="utf-8")
    assert "ExecReload=/opt/backstay/bin/backstay reload\n" in unit
    (row,) = [row for row in COMMANDS if row.name == "reload"]
    (longest,) = [one.original.default for one in parameters(load(row)) if one.name == "timeout"]
    assert longest < int(re.findall(r"^TimeoutStartSec=(\d+)$", unit, re.MULTILINE)[0])


@pytest.mark.parametrize("one", check.CHECKS, ids=lambda one: one.name)
def test_a_missing_tool_says_where_it_is_to_be_had(one):
    assert one.tools == () or set(one.tools) <= set(checks.PACKAGES)
