"""Alerts, their tests, their pages and what is written from them agree. No tool of Prometheus is needed here."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.cli import COMMANDS, load
from backstay.commands import Option, parameters
from backstay.metrics.catalogue import CATALOGUE, Kind
from deploy import checks
from deploy.watch import generate
from deploy.watch.alerts import ALERTS, INHIBITIONS
from deploy.watch.cases import CASES, uncovered
from deploy.watch.dashboards import files
from deploy.watch.model import REAL_TIME, Links, Pace
from deploy.watch.panel_rules import panels
from deploy.watch.records import RECORDS
from deploy.watch.rule_files import alerts_file

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
HEADINGS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
METRIC = re.compile(r"(?<![\w:])backstay_\w+")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
LABELS = re.compile(r"\{\{ \$labels\.(\w+)")
FENCED = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(backstay [^`\n]+)`")
PANEL = re.compile(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)")


def names_of_series() -> set[str]:
    names = set()
    for metric in CATALOGUE:
        suffixes = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        names |= {metric.name + suffix for suffix in suffixes}
    return names


def unknown_metrics(expressions: list[str]) -> list[str]:
    known = names_of_series()
    return [name for expr in expressions for name in METRIC.findall(expr) if name not in known]


def faults_of_runbook(text: str, name: str) -> list[str]:
    found = [line for line in text.splitlines() if line.startswith("## ")]
    problems = [] if text.startswith(f"# {name}\n") else ["another title"]
    return problems + ([] if found == HEADINGS else [f"sections {found}"])


def commands_of(text: str) -> list[str]:
    lines = [line for block in FENCED.findall(text) for line in block.splitlines()]
    return [line for line in lines if line.startswith("backstay ")] + INLINE.findall(text)


def faults_of_commands(text: str) -> list[str]:
    """Commands in a page that the command line does not have, by name or by option."""
    problems = []
    for command in commands_of(text):
        words = shlex.split(command, comments=True)[1:]
        row = next((one for one in COMMANDS if one.name == words[0]), None)
        if row is None:
            problems.append(command)
            continue
        known = {
            name for one in parameters(load(row)) if isinstance(one.declared, Option) for name in one.declared.names
        }
        problems += [f"{command}: {word}" for word in words[1:] if word.startswith("-") and word not in known]
    return problems


def test_what_is_committed_is_what_the_tables_say():
    assert generate.differing(ROOT, Links()) == []


def test_a_changed_or_missing_file_is_found(tmp_path):
    written = generate.files(Links())
    for path, text in written.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    assert generate.differing(tmp_path, Links()) == []
    first, second, *_ = written
    (tmp_path / first).write_text("# by hand\n", encoding="utf-8")
    (tmp_path / second).unlink()
    assert generate.differing(tmp_path, Links()) == [first, second]


def test_links_of_ones_own_go_into_a_folder_of_ones_own(tmp_path):
    before = generate.files(Links())
    addresses = ["--docs-url", "https://docs.example.org/backstay/", "--grafana-url", "https://grafana.example.org"]
    assert generate.main([*addresses, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"backstay.alerts.yml", "prometheus-rule.yaml"}
    text = (tmp_path / "backstay.alerts.yml").read_text(encoding="utf-8")
    pages = re.findall(r'runbook_url: "https://docs\.example\.org/backstay/(.*)\.html"', text)
    assert len(pages) == len(ALERTS)
    assert all((ROOT / "docs" / f"{page}.md").is_file() for page in pages)
    assert "https://grafana.example.org/d/backstay-overview" in text
    assert "localhost" not in text
    assert generate.files(Links()) == before
    assert generate.differing(ROOT, Links()) == []


def test_links_of_ones_own_never_go_into_the_committed_files(capsys):
    with pytest.raises(SystemExit):
        generate.main(["--docs-url", "https://docs.example.org"])
    assert "--out FOLDER" in capsys.readouterr().err


def test_every_alert_has_a_case_that_fires_and_one_that_stays_silent():
    assert uncovered() == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.key)
def test_an_alert_without_one_of_the_two_is_found(alert):
    kept = [case for case in CASES if case.key != alert.key or not case.does_fire]
    assert uncovered(ALERTS, kept) == [f"{alert.key} has no case that fires"]
    kept = [case for case in CASES if case.key != alert.key or case.does_fire]
    assert uncovered(ALERTS, kept) == [f"{alert.key} has no case that stays silent"]


def test_a_case_of_no_alert_is_found():
    assert uncovered(ALERTS, [*CASES, replace(CASES[0], alert="BackstayNothing")]) != []


def test_the_reasons_to_stay_silent_are_planned_downtime_youth_and_missed_scrapes_among_others():
    assert {case.quiet.name for case in CASES if case.quiet} == {"MAINTENANCE", "YOUNG", "MISSED", "BELOW", "OTHER"}


def test_rules_look_at_metrics_that_exist():
    assert unknown_metrics([rule.expr for rule in (*RECORDS, *ALERTS)]) == []


def test_a_metric_that_does_not_exist_is_found():
    assert unknown_metrics(["backstay_conection_up == 0"]) == ["backstay_conection_up"]


def test_alerts_name_only_labels_that_their_expression_leaves():
    for alert in ALERTS:
        texts = " ".join(alert.annotations(Links()).values())
        assert set(LABELS.findall(texts)) <= set(alert.about), alert.key


def test_inhibitions_name_alerts_that_exist_and_labels_that_both_sides_have():
    about = {alert.name: set(alert.about) for alert in ALERTS}
    for one in INHIBITIONS:
        for name in (*one.sources, *one.targets):
            assert set(one.equal) <= about[name], (one.why, name)


def adds_up_daemons(about: tuple[str, ...]) -> bool:
    """Whether connections or gateways of several daemons are taken for one."""
    return bool({"connection", "gateway"} & set(about)) and "instance" not in about


def test_two_daemons_with_the_same_names_are_two():
    for labels in (*(alert.about for alert in ALERTS), *(one.equal for one in INHIBITIONS)):
        assert not adds_up_daemons(labels), labels
    assert adds_up_daemons(("job", "connection"))
    for record in RECORDS:
        assert "without (instance)" not in record.expr
        for labels in GROUPED.findall(record.expr):
            assert not adds_up_daemons(tuple(labels.split(", "))), record.name


def test_runbooks_and_alerts_are_the_same_set():
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("name", sorted({alert.name for alert in ALERTS}))
def test_a_runbook_says_what_it_means_costs_how_to_look_and_what_to_do(name):
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert faults_of_runbook(text, name) == []
    assert faults_of_commands(text) == []
    others = {one.name for one in ALERTS}
    assert set(re.findall(r"Backstay[A-Z]\w+", text)) <= others


def unknown_panels(text: str) -> list[str]:
    """What a runbook sets in italics and with a capital letter is a panel of a dashboard."""
    titles = {panel["title"] for board in files().values() for panel in panels(json.loads(board))}
    named = [" ".join(found.split()) for found in PANEL.findall(text)]
    return [name for name in named if name not in titles]


def test_panels_that_runbooks_send_one_to_exist():
    texts = [path.read_text(encoding="utf-8") for path in sorted(RUNBOOKS.glob("*.md"))]
    assert sum(len(PANEL.findall(text)) for text in texts) > 3
    assert [name for text in texts for name in unknown_panels(text)] == []
    assert unknown_panels("Is *Requests\nsent* at the limit?") == ["Requests sent"]
    assert unknown_panels("**Do not** place it; *failed* is a word, and *Messages\nout* a panel") == []


def test_no_two_runbooks_give_the_same_advice():
    seen: dict[str, str] = {}
    for path in sorted(RUNBOOKS.glob("*.md")):
        for part in path.read_text(encoding="utf-8").split("## ")[1:]:
            assert part not in seen, f"{path.stem} and {seen.get(part)}"
            seen[part] = path.stem


@pytest.mark.parametrize(
    "text",
    ["# BackstayAbsent\n\n## Meaning\n", "# Other\n\n" + "\n".join(HEADINGS)],
    ids=["a missing section", "another title"],
)
def test_an_incomplete_runbook_is_found(text):
    assert faults_of_runbook(text, "BackstayAbsent") != []


@pytest.mark.parametrize(
    "text", ["`backstay explode NAME`", "```console\nbackstay status --colour\n```\n", "run `backstay drain A --wait`"]
)
def test_a_command_that_does_not_exist_is_found(text):
    assert faults_of_commands(text) != []


def test_compressed_time_divides_windows_holds_and_seconds_but_leaves_names():
    text = alerts_file(Pace(20))
    assert "for: 9000ms" in text
    assert "max_over_time(backstay_connection_up[3000ms])" in text
    assert "> 3\nand" in text.replace("          ", "")  # sixty seconds of silence
    assert "ratio_rate1h" in text
    assert "[1m]" not in text
    assert REAL_TIME.expression("x[5m] > {60s}") == "x[5m] > 60"


def test_a_check_that_fails_or_lacks_its_tool_fails_where_that_counts(capfd):
    passes = checks.Check("passes", ("true",))
    fails = checks.Check("fails", ("false",))
    lacks = checks.Check("lacks its tool", ("true",), ("no-such-tool",))
    assert checks.run([passes, fails], strict=False) == ["fails"]
    assert checks.run([passes, replace(fails, waits=True), replace(passes, waits=True)], strict=True) == ["fails"]
    assert checks.run([passes, lacks], strict=False) == []
    assert "lacks its tool: NOT CHECKED, needs no-such-tool" in capfd.readouterr().out
    assert checks.run([passes, lacks], strict=True) == ["lacks its tool"]
