"""Whether the services of compose find what they are given: files through mounts, one another by name, links by port.

The schema of compose knows the fields of a service, not what is behind its paths and names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

Tree = Mapping[str, Any]
Read = Callable[[Path], Any]
"""Reads a file of YAML or TOML."""

LOOPBACK = "127.0.0.1:"
PROVISIONING = "/etc/grafana/provisioning"
GATEWAYS, DAEMON = ("ib-gateway", "simulator"), "backstay"
LINK = re.compile(r'_url: "http://localhost:(\d+)/')


@dataclass(frozen=True, slots=True)
class Project:
    """A compose file beside which others lie, and one of its profiles."""

    tree: Tree
    folder: Path
    profile: str
    read: Read

    @property
    def services(self) -> dict[str, Tree]:
        """What runs with this profile."""
        return {name: one for name, one in self.tree["services"].items() if self.profile in one["profiles"]}

    def hosts(self, service: str) -> set[str]:
        """The names by which a service finds others, over the networks that it shares with them."""
        mine = set(_networks(self.services[service]))
        return {
            host
            for name, one in self.services.items()
            for network, aliases in _networks(one).items()
            if network in mine and name != service
            for host in (name, *aliases)
        }

    def mounts(self, service: str) -> dict[PurePosixPath, Path]:
        """Files and folders of the source tree by their place within the container."""
        pairs = (one.split(":") for one in self.services[service].get("volumes", ()))
        return {PurePosixPath(to): (self.folder / here).resolve() for here, to, *_ in pairs if here.startswith(".")}

    def inside(self, service: str, place: str) -> Path | None:
        """What a container has at this place, if it comes from the source tree; the deepest mount counts."""
        wanted, mounts = PurePosixPath(place), self.mounts(service)
        for target in sorted(mounts, key=lambda one: -len(one.parts)):
            if wanted.is_relative_to(target):
                path = mounts[target] / wanted.relative_to(target)
                return path if path.exists() else None
        return None


def _networks(service: Tree) -> dict[str, tuple[str, ...]]:
    named = service.get("networks", ["default"])
    if isinstance(named, Mapping):
        return {name: tuple((one or {}).get("aliases", ())) for name, one in named.items()}
    return dict.fromkeys(named, ())


def _host(address: str) -> str:
    return address.rpartition("//")[2].rpartition(":")[0]


def _doors(project: Project) -> Iterator[str]:
    for name, service in project.services.items():
        yield from (f"{name}: {one} is not on loopback" for one in service.get("ports", ()) if LOOPBACK not in one)
        yield from (f"{name}: no {path.name} to mount" for path in project.mounts(name).values() if not path.exists())
        others = {one for one in GATEWAYS if one in project.hosts(name)}
        if others and DAEMON not in name:
            yield f"{name} gets to {', '.join(others)}, past backstay"


def _daemon(project: Project) -> Iterator[str]:
    for name, service in project.services.items():
        for config in service.get("configs", ()) if DAEMON in name else ():
            tree = project.read(project.folder / project.tree["configs"][config["source"]]["file"])
            for gateway in tree["gateways"].values():
                missing = {_host(one) for one in gateway["endpoints"]} - project.hosts(name)
                yield from (f"{name} does not find its gateway {one}" for one in missing)


def _prometheus(project: Project) -> Iterator[str]:
    place = PurePosixPath("/etc/prometheus")
    path = project.inside("prometheus", str(place / "prometheus.yml"))
    if path is None:
        yield "prometheus has no configuration"
        return
    tree, hosts = project.read(path), project.hosts("prometheus")
    for name in tree["rule_files"]:
        if project.inside("prometheus", str(place / name)) is None:
            yield f"prometheus has no {name}"
    found = [*tree["scrape_configs"], *tree["alerting"]["alertmanagers"]]
    targets = [target for one in found for group in one["static_configs"] for target in group["targets"]]
    yield from (f"prometheus does not find {one}" for one in targets if _host(one) not in hosts)


def _grafana(project: Project) -> Iterator[str]:
    sources = project.inside("grafana", f"{PROVISIONING}/datasources/prometheus.yml")
    providers = project.inside("grafana", f"{PROVISIONING}/dashboards/backstay.yml")
    if sources is None or providers is None:
        yield "grafana has no data source, or nobody who provides dashboards"
        return
    for source in project.read(sources)["datasources"]:
        if _host(source["url"]) not in project.hosts("grafana"):
            yield f"grafana does not find {source['url']}"
    for provider in project.read(providers)["providers"]:
        folder = project.inside("grafana", provider["options"]["path"])
        if folder is None or not list(folder.glob("*.json")):
            yield f"grafana looks for dashboards in {provider['options']['path']}, where none are"


def _links(project: Project) -> Iterator[str]:
    rules = project.inside("prometheus", "/etc/prometheus/backstay.alerts.yml")
    ports = set(LINK.findall(rules.read_text(encoding="utf-8"))) if rules else set[str]()
    published = {one.split(":")[1] for service in project.services.values() for one in service.get("ports", ())}
    yield from (f"alerts link to port {one}, on which nobody is" for one in sorted(ports - published))
    if not ports:
        yield "alerts link to nothing"


def misunderstandings(project: Project) -> list[str]:
    """Everything that would not be found, or could be reached past backstay; empty if all is well."""
    return [one for judge in (_doors, _daemon, _prometheus, _grafana, _links) for one in judge(project)]
