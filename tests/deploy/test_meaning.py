"""What objects of Kubernetes mean together is judged right: each thing that would be wrong in a cluster is found."""

import json
from pathlib import Path

import pytest

from deploy.packages.meaning import CLIENT, CLIENT_LABELS, STRANGER, Way, is_open, misunderstandings, pods

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
relays.paper.listen = "0.0.0.0:7400"
http.listen = "0.0.0.0:9464"
gateways.paper.endpoints = ["ib-gateway:4004", "127.0.0.1:4002"]
"""


def selector(name):
    return {"matchLabels": {"app.kubernetes.io/name": name}}


def named(kind, name, spec):
    return {"kind": kind, "metadata": {"name": name, "namespace": "backstay"}, "spec": spec}


def workload(name, image, **ports):
    container = {"image": image, "ports": [{"name": one, "containerPort": number} for one, number in ports.items()]}
    template = {"metadata": {"labels": selector(name)["matchLabels"]}, "spec": {"containers": [container]}}
    pods = {"selector": selector(name)["matchLabels"], "ports": []}
    yield named("StatefulSet", name, {"serviceName": f"{name}-pods", "selector": selector(name), "template": template})
    yield named(
        "Service", name, {**pods, "ports": [{"port": number, "targetPort": one} for one, number in ports.items()]}
    )
    yield named("Service", f"{name}-pods", {**pods, "clusterIP": "None"})


def objects():
    """A daemon and its gateway, each with policies: what the overlay for paper trading is, made small."""
    namespace = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    resolver = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    daemon = {
        "podSelector": selector("backstay"),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": [{"podSelector": {"matchLabels": CLIENT_LABELS}}], "ports": [{"port": "relay"}]},
            {"from": [namespace], "ports": [{"port": "http"}]},
        ],
        "egress": [
            {"to": [{"podSelector": selector("ib-gateway")}], "ports": [{"port": 4004}]},
            {"to": [resolver], "ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]},
        ],
    }
    only_backstay = {"from": [{"podSelector": selector("backstay")}], "ports": [{"port": 4004}]}
    gateway = {"podSelector": selector("ib-gateway"), "policyTypes": ["Ingress"], "ingress": [only_backstay]}
    made = [
        {**named("ConfigMap", "backstay", {}), "data": {"backstay.toml": CONFIG}},
        *workload("backstay", "backstay:0.1", relay=7400, http=9464),
        *workload("ib-gateway", "registry.example.org:5000/ib-gateway:stable", paper=4004),
        named("PodDisruptionBudget", "backstay", {"selector": selector("backstay")}),
        named("PodMonitor", "backstay", {"selector": selector("backstay"), "podMetricsEndpoints": [{"port": "http"}]}),
        named("NetworkPolicy", "backstay", daemon),
        named("NetworkPolicy", "ib-gateway", gateway),
    ]
    return {f"{one['kind']} {one['metadata']['name']}": one for one in json.loads(json.dumps(made))}


def found(made):
    return misunderstandings(list(made.values()))


def test_objects_that_belong_together_are_taken():
    assert found(objects()) == []


def peers(made, direction, number, key):
    return made["NetworkPolicy backstay"]["spec"][direction][number][key][0]["podSelector"]["matchLabels"]


def rewrite_egress(made):
    peers(made, "egress", 0, "to")["app.kubernetes.io/name"] = "backstay"


def rewrite_ingress(made):
    peers(made, "ingress", 0, "from")["app.kubernetes.io/name"] = "backstay"


def forget_egress(made):
    del made["NetworkPolicy backstay"]["spec"]["egress"]


def forget_the_resolver(made):
    made["NetworkPolicy backstay"]["spec"]["egress"].pop()


def let_everybody_in(made):
    made["NetworkPolicy backstay"]["spec"]["ingress"].append({})


def let_everything_out(made):
    made["NetworkPolicy backstay"]["spec"]["egress"].append({})


def let_another_port_out(made):
    made["NetworkPolicy backstay"]["spec"]["egress"][0]["ports"] = [{"port": 4001}]


def forget_the_gateways_policy(made):
    del made["NetworkPolicy ib-gateway"]


def select_other_pods(made):
    made["NetworkPolicy backstay"]["spec"]["podSelector"] = selector("bakstay")


def forget_the_gateways_service(made):
    del made["Service ib-gateway"]


def point_past_the_port(made):
    made["Service ib-gateway"]["spec"]["ports"][0]["targetPort"] = "live"


def budget_for_nobody(made):
    made["PodDisruptionBudget backstay"]["spec"]["selector"] = selector("other")


def serve_the_clients_too(made):
    made["Service backstay"]["spec"]["selector"] = CLIENT_LABELS


def serve_everybody(made):
    made["PodMonitor backstay"]["spec"]["selector"] = {}


def scrape_another_port(made):
    made["PodMonitor backstay"]["spec"]["podMetricsEndpoints"][0]["port"] = "metrics"


def give_it_an_address(made):
    del made["Service backstay-pods"]["spec"]["clusterIP"]


def hash_the_configuration(made):
    made["ConfigMap backstay"]["metadata"]["name"] += "-m8f7c6h2tk"


def forget_the_tag(made):
    made["StatefulSet ib-gateway"]["spec"]["template"]["spec"]["containers"][0]["image"] = "example.org:5000/ib-gateway"


def take_the_latest(made):
    made["StatefulSet backstay"]["spec"]["template"]["spec"]["containers"][0]["image"] = "backstay:latest"


MISTAKES = [
    rewrite_egress,
    rewrite_ingress,
    forget_egress,
    forget_the_resolver,
    let_everybody_in,
    let_everything_out,
    let_another_port_out,
    forget_the_gateways_policy,
    select_other_pods,
    forget_the_gateways_service,
    point_past_the_port,
    budget_for_nobody,
    serve_the_clients_too,
    serve_everybody,
    scrape_another_port,
    give_it_an_address,
    hash_the_configuration,
    forget_the_tag,
    take_the_latest,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake):
    made = objects()
    mistake(made)
    assert found(made) != []


@pytest.mark.parametrize(
    "peer",
    [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}],
)
def test_what_is_not_understood_is_no_yes(peer):
    made = objects()
    made["NetworkPolicy backstay"]["spec"]["egress"][0]["to"] = [peer]
    with pytest.raises(ValueError, match="not understood"):
        found(made)


def test_nothing_is_forbidden_where_no_policy_selects_the_pod():
    made = [one for one in objects().values() if one["kind"] != "NetworkPolicy"]
    gateway = pods(made)["ib-gateway"]
    assert all(is_open(made, Way(one, gateway, 4004, is_open=True)) for one in (CLIENT, STRANGER))


def test_the_page_tells_the_label_that_lets_a_client_in():
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert all(f'{name}: "{value}"' in page for name, value in CLIENT_LABELS.items())
