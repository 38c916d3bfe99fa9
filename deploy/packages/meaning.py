"""What objects of Kubernetes mean together: who reaches whom, and whether what refers to something finds it.

A validator knows the fields of an object, not what its selectors select. No tool and no cluster is needed for this.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Manifest = Mapping[str, Any]

DAEMON, NAMESPACE = "backstay", "backstay"
NAME, NAMESPACE_NAME = "app.kubernetes.io/name", "kubernetes.io/metadata.name"
CLIENT_LABELS = {"backstay-client": "true"}
"""What docs/deployment.md tells to give to a client's pod."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or whoever has one somewhere. `ports`: numbers by name."""

    name: str
    labels: Mapping[str, str]
    namespace: str = NAMESPACE
    ports: Mapping[str, int] = field(default_factory=dict)


CLIENT = Pod("a client", {**CLIENT_LABELS, NAME: "strategy"})
STRANGER = Pod("a stranger", {NAME: "stranger"})
FOREIGN_CLIENT = Pod("a client elsewhere", CLIENT_LABELS, namespace="default")
WATCHER = Pod("a watcher", {NAME: "prometheus"}, namespace="monitoring")
RESOLVER = Pod("the resolver", {"k8s-app": "kube-dns"}, namespace="kube-system")


@dataclass(frozen=True, slots=True)
class Way:
    """From whom to whom, and whether that has to be open."""

    source: Pod
    target: Pod
    port: int
    is_open: bool
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.source.name} to {self.target.name}, port {self.port}/{self.protocol}"


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    """The objects of these kinds."""
    return [one for one in manifests if one["kind"] in kinds]


def pods(manifests: Sequence[Manifest]) -> dict[str, Pod]:
    """What the workloads run, by the workload's name."""
    found = {}
    for one in of_kind(manifests, "StatefulSet", "Deployment"):
        template, name = one["spec"]["template"], one["metadata"]["name"]
        ports = {
            port["name"]: port["containerPort"]
            for container in template["spec"]["containers"]
            for port in container.get("ports", ())
        }
        found[name] = Pod(name, template["metadata"].get("labels", {}), one["metadata"]["namespace"], ports)
    return found


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether labels are selected; an empty selector selects everything, as in Kubernetes."""
    if unknown := set(selector) - {"matchLabels"}:
        raise ValueError(f"selectors with {', '.join(unknown)} are not understood here")
    return selector.get("matchLabels", {}).items() <= labels.items()


@dataclass(frozen=True, slots=True)
class End:
    """One end of a way, as policies name it."""

    kind: str
    rules: str
    peers: str
    here: Pod
    other: Pod


def _ends(way: Way) -> tuple[End, End]:
    return (
        End("Egress", "egress", "to", here=way.source, other=way.target),
        End("Ingress", "ingress", "from", here=way.target, other=way.source),
    )


def _is_peer(peer: Manifest, end: End) -> bool:
    if unknown := set(peer) - {"podSelector", "namespaceSelector"}:
        raise ValueError(f"peers with {', '.join(unknown)} are not understood here")
    other = end.other
    own = {"matchLabels": {NAMESPACE_NAME: end.here.namespace}}
    near = selects(peer.get("namespaceSelector", own), {NAMESPACE_NAME: other.namespace})
    return near and selects(peer.get("podSelector", {}), other.labels)


def _is_port(port: Manifest, way: Way) -> bool:
    wanted = port.get("port", way.port)
    number = way.target.ports.get(wanted) if isinstance(wanted, str) else wanted
    return number == way.port and port.get("protocol", "TCP") == way.protocol


def _lets(rule: Manifest, end: End, way: Way) -> bool:
    fits = not rule.get(end.peers) or any(_is_peer(peer, end) for peer in rule[end.peers])
    return fits and (not rule.get("ports") or any(_is_port(port, way) for port in rule["ports"]))


def _is_let(policies: Sequence[Manifest], end: End, way: Way) -> bool:
    """Whether one end lets it: nothing is forbidden where no policy of this direction selects the pod."""
    mine = [
        one["spec"]
        for one in policies
        if one["metadata"]["namespace"] == end.here.namespace
        and end.kind in one["spec"]["policyTypes"]
        and selects(one["spec"]["podSelector"], end.here.labels)
    ]
    return not mine or any(_lets(rule, end, way) for spec in mine for rule in spec.get(end.rules, ()))


def is_open(manifests: Sequence[Manifest], way: Way) -> bool:
    """Whether the network policies of both ends let this way."""
    policies = of_kind(manifests, "NetworkPolicy")
    return all(_is_let(policies, end, way) for end in _ends(way))


def configuration(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """What the daemon is configured with."""
    found = [one for one in of_kind(manifests, "ConfigMap") if one["metadata"]["name"] == DAEMON]
    if not found:
        raise LookupError(f"no ConfigMap {DAEMON}: under a name with a hash each change of it would cut every client")
    return tomllib.loads(found[0]["data"]["backstay.toml"])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _gateways(manifests: Sequence[Manifest]) -> Iterator[tuple[str, int]]:
    """Host and port of each endpoint that is not in the daemon's own pod."""
    for gateway in configuration(manifests)["gateways"].values():
        for endpoint in gateway["endpoints"]:
            host, _, port = endpoint.rpartition(":")
            if host != "127.0.0.1":
                yield host, int(port)


def behind(manifests: Sequence[Manifest], host: str, port: int) -> tuple[Pod, int] | None:
    """The pod and its port behind a service's name, or `None` where nobody is."""
    for service in of_kind(manifests, "Service"):
        if service["metadata"]["name"] != host:
            continue
        for one in service["spec"]["ports"]:
            for pod in _selected(manifests, {"matchLabels": service["spec"]["selector"]}):
                target = one.get("targetPort", one["port"])
                number = pod.ports.get(target) if isinstance(target, str) else target
                if one["port"] == port and number in pod.ports.values():
                    return pod, number
    return None


def ways(manifests: Sequence[Manifest]) -> Iterator[Way]:
    """Every way that has to be open, and those that must not be."""
    daemon, config = pods(manifests)[DAEMON], configuration(manifests)
    http = _port(config["http"]["listen"])
    for relay in config["relays"].values():
        port = _port(relay["listen"])
        yield Way(CLIENT, daemon, port, is_open=True)
        yield from (Way(one, daemon, port, is_open=False) for one in (STRANGER, FOREIGN_CLIENT, WATCHER))
    yield Way(WATCHER, daemon, http, is_open=True)
    yield from (Way(one, daemon, http, is_open=False) for one in (STRANGER, FOREIGN_CLIENT))
    yield from (Way(daemon, RESOLVER, 53, is_open=True, protocol=protocol) for protocol in ("UDP", "TCP"))
    yield Way(daemon, STRANGER, 80, is_open=False)
    for host, port in _gateways(manifests):
        if found := behind(manifests, host, port):
            gateway, number = found
            yield Way(daemon, gateway, number, is_open=True)
            yield from (Way(one, gateway, number, is_open=False) for one in (CLIENT, STRANGER, FOREIGN_CLIENT, WATCHER))


def _selected(manifests: Sequence[Manifest], selector: Manifest) -> list[Pod]:
    return [pod for pod in pods(manifests).values() if selects(selector, pod.labels)]


def _selectors(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest, str]]:
    """Whose selector, the selector, and the name of the one workload that it has to select."""
    for one in of_kind(manifests, "Service", "PodDisruptionBudget", "PodMonitor", "StatefulSet", "Deployment"):
        kind, name = one["kind"], one["metadata"]["name"]
        selector = one["spec"]["selector"]
        owner = name.removesuffix("-pods")
        yield f"{kind} {name}", {"matchLabels": selector} if kind == "Service" else selector, owner


def _loose_ends(manifests: Sequence[Manifest]) -> Iterator[str]:
    for whose, selector, owner in _selectors(manifests):
        names = [one.name for one in (*_selected(manifests, selector), CLIENT) if selects(selector, one.labels)]
        if names != [owner]:
            yield f"{whose} selects {', '.join(names) or 'nothing'}"
    services = of_kind(manifests, "Service")
    headless = {one["metadata"]["name"] for one in services if one["spec"].get("clusterIP") == "None"}
    for one in of_kind(manifests, "StatefulSet"):
        if one["spec"]["serviceName"] not in headless:
            yield f"StatefulSet {one['metadata']['name']}: {one['spec']['serviceName']} is no headless service"
    for one in of_kind(manifests, "PodMonitor"):
        for endpoint in one["spec"]["podMetricsEndpoints"]:
            if endpoint["port"] not in pods(manifests)[DAEMON].ports:
                yield f"PodMonitor {one['metadata']['name']}: no port {endpoint['port']}"
    for host, port in _gateways(manifests):
        if behind(manifests, host, port) is None:
            yield f"no pod is behind the endpoint {host}:{port}"


def _images(manifests: Sequence[Manifest]) -> Iterator[str]:
    for one in of_kind(manifests, "StatefulSet", "Deployment"):
        for container in one["spec"]["template"]["spec"]["containers"]:
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            if tag in {"", "latest"}:
                yield f"{container['image']} has no tag that says which: it is fetched anew at each start"


def misunderstandings(manifests: Sequence[Manifest]) -> list[str]:
    """Everything that does not mean what it is there for; empty if all is well."""
    try:
        wrong = [way for way in ways(manifests) if is_open(manifests, way) != way.is_open]
    except LookupError as error:
        return [str(error)]
    astray = [f"{way}: {'closed' if way.is_open else 'open'}" for way in wrong]
    return [*_loose_ends(manifests), *_images(manifests), *astray]
