"""Dashboards keep their rules, look at metrics that exist, and are where alerts link to."""

import copy
import json
import re
from pathlib import Path

import pytest

from backstay.metrics.catalogue import CATALOGUE, Kind
from deploy.watch.alerts import ALERTS
from deploy.watch.dashboards import files
from deploy.watch.model import Links
from deploy.watch.panel_rules import expressions, faults, filled, panels
from deploy.watch.records import RECORDS

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = {path: json.loads(text) for path, text in files().items()}
METRIC = re.compile(r"(?<![\w:])backstay_\w+")
RECORDED = re.compile(r"\w+:\w+:\w+")


@pytest.mark.parametrize("path", DASHBOARDS)
def test_a_dashboard_keeps_the_rules(path):
    assert faults(DASHBOARDS[path]) == []


@pytest.mark.parametrize("path", DASHBOARDS)
def test_connections_of_the_same_name_of_two_daemons_are_drawn_apart(path):
    for place, expr in expressions(DASHBOARDS[path]):
        for labels in re.findall(r"\bby \(([^)]*\bconnection\b[^)]*)\)", expr):
            assert "instance" in labels, (place, labels)


def smallest():
    return copy.deepcopy(DASHBOARDS["deploy/grafana/dashboards/backstay-slo.json"])


def first_panel(dashboard):
    return next(iter(panels(dashboard)))


def break_unit(dashboard):
    first_panel(dashboard)["fieldConfig"]["defaults"]["unit"] = ""


def break_description(dashboard):
    del first_panel(dashboard)["description"]


def break_counter(dashboard):
    first_panel(dashboard)["targets"][0]["expr"] = 'backstay_disconnects_total{job="backstay"}'


def break_place(dashboard):
    first_panel(dashboard)["gridPos"]["w"] = 20


def break_number(dashboard):
    first_panel(dashboard)["id"] = dashboard["panels"][-1]["id"]


def break_variable(dashboard):
    first_panel(dashboard)["targets"][0]["expr"] = 'up{job="$jobs"}'


def break_colours(dashboard):
    first_panel(dashboard)["fieldConfig"]["defaults"]["thresholds"]["steps"].reverse()


def break_edits(dashboard):
    dashboard["editable"] = True


BREAKS = [
    break_unit,
    break_description,
    break_counter,
    break_place,
    break_number,
    break_variable,
    break_colours,
    break_edits,
]


@pytest.mark.parametrize("mistake", BREAKS)
def test_a_breach_of_a_rule_is_found(mistake):
    dashboard = smallest()
    mistake(dashboard)
    assert faults(dashboard) != []


@pytest.mark.parametrize("path", DASHBOARDS)
def test_panels_look_at_metrics_and_records_that_exist(path):
    known = {metric.name for metric in CATALOGUE if metric.kind is not Kind.HISTOGRAM}
    known |= {f"{metric.name}_bucket" for metric in CATALOGUE if metric.kind is Kind.HISTOGRAM}
    records = {record.name for record in RECORDS}
    for place, expr in expressions(DASHBOARDS[path]):
        assert set(METRIC.findall(RECORDED.sub("", expr))) <= known, place
        assert set(RECORDED.findall(expr)) <= records, place


def test_every_metric_of_a_connection_is_on_its_dashboard_or_is_a_fact_to_join_on():
    shown = " ".join(expr for _, expr in expressions(DASHBOARDS["deploy/grafana/dashboards/backstay-connection.json"]))
    missing = [metric.name for metric in CATALOGUE if metric.scope.value == "connection" and metric.name not in shown]
    assert set(missing) <= {
        "backstay_connection_info",
        "backstay_circuit_open",  # the state "parked"
        "backstay_heartbeats_total",
        "backstay_subscriptions_renewed_total",
        "backstay_stale_epoch_dropped_total",
    }


def test_alerts_link_to_dashboards_and_variables_that_exist():
    variables = {one["uid"]: {each["name"] for each in one["templating"]["list"]} for one in DASHBOARDS.values()}
    for alert in ALERTS:
        url = alert.annotations(Links())["dashboard_url"]
        uid = re.search(r"/d/([\w-]+)", url)[1]
        assert set(re.findall(r"var-(\w+)=", url)) <= variables[uid], alert.key


def test_nothing_of_grafana_is_left_in_an_expression_that_prometheus_gets():
    for dashboard in DASHBOARDS.values():
        for place, expr in expressions(dashboard):
            assert "$" not in filled(expr), place
