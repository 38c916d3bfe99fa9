"""What compose's services would not find, or could get at past backstay, is found."""

import json
from pathlib import Path

import pytest

from deploy.packages.meaning_compose import PROVISIONING, Project, misunderstandings

RULE = 'runbook_url: "http://localhost:8000/runbooks/One.html"'
FILES = {
    "paper.json": {"gateways": {"paper": {"endpoints": ["ib-gateway:4004"]}}},
    "prometheus.json": {
        "rule_files": ["backstay.alerts.yml"],
        "scrape_configs": [{"static_configs": [{"targets": ["backstay:9464"]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
    },
    "source.json": {"datasources": [{"url": "http://prometheus:9090"}]},
    "provider.json": {"providers": [{"options": {"path": "/dashboards/backstay"}}]},
    "boards/one.json": {},
    "alerts.yml": RULE,
}


def service(*networks, **others):
    return {"profiles": ["paper"], "networks": list(networks), **others}


def tree():
    return {
        "configs": {"paper": {"file": "./paper.json"}},
        "services": {
            "daemon-of-paper": {"profiles": ["other"]},
            "backstay-paper": service(
                configs=[{"source": "paper"}], ports=["127.0.0.1:7400:7400"], volumes=["state:/var/lib/backstay"]
            )
            | {"networks": {"gateway": None, "scraping": {"aliases": ["backstay"]}}},
            "ib-gateway": service("gateway"),
            "prometheus": service(
                "scraping",
                "watching",
                volumes=[
                    "./prometheus.json:/etc/prometheus/prometheus.yml:ro",
                    "./alerts.yml:/etc/prometheus/backstay.alerts.yml:ro",
                ],
            ),
            "alertmanager": service("watching"),
            "grafana": service(
                "watching",
                volumes=[
                    f"./source.json:{PROVISIONING}/datasources/prometheus.yml:ro",
                    f"./provider.json:{PROVISIONING}/dashboards/backstay.yml:ro",
                    "./boards:/dashboards/backstay:ro",
                ],
            ),
            "docs": service(ports=["127.0.0.1:8000:8000"]),
        },
    }


@pytest.fixture
def found(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    def judge(one):
        return misunderstandings(Project(one, tmp_path, "paper", lambda path: json.loads(Path(path).read_text())))

    return judge


def test_services_that_find_one_another_are_taken(found):
    assert found(tree()) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("./boards:/dashboards/backstay", "./boards:/dashboards", "/dashboards/backstay, where none are"),
        ("./boards", "./bords", "no bords to mount"),
        ("127.0.0.1:8000:8000", "127.0.0.1:8001:8000", "link to port 8000"),
        ("127.0.0.1:7400:7400", "7400:7400", "not on loopback"),
        ('"aliases": ["backstay"]', '"aliases": []', "does not find backstay:9464"),
        ('"gateway": null, ', "", "does not find its gateway ib-gateway"),
        ('"scraping", "watching"', '"scraping", "watching", "gateway"', "prometheus gets to ib-gateway"),
        ('"networks": ["scraping", "watching"]', '"networks": ["scraping"]', "does not find alertmanager:9093"),
        ("/etc/prometheus/backstay.alerts.yml", "/etc/backstay.alerts.yml", "has no backstay.alerts.yml"),
        ("/etc/prometheus/prometheus.yml", "/etc/prometheus.yml", "no configuration"),
        ("/datasources/prometheus.yml", "/prometheus.yml", "no data source"),
    ],
)
def test_a_mistake_is_found(found, right, wrong, said):
    text = json.dumps(tree())
    assert right in text
    problems = found(json.loads(text.replace(right, wrong)))
    assert any(said in one for one in problems), problems


def test_rules_without_a_link_are_found(found, tmp_path):
    (tmp_path / "alerts.yml").write_text("groups: []", encoding="utf-8")
    assert found(tree()) == ["alerts link to nothing"]
