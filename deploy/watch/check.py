"""Check rules, alerts and dashboards with the tools of Prometheus: `make watch-check`."""

from __future__ import annotations

import sys

from deploy.checks import Check, exit_code

PROMETHEUS = "deploy/prometheus"
ALERTMANAGER = "deploy/alertmanager/alertmanager.yml"


def _route(receiver: str, *labels: str) -> Check:
    command = ("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"--verify.receivers={receiver}")
    return Check(f"alerts go to {receiver}", (*command, *labels), ("amtool",))


SERVERS = ("prometheus", "prometheus-alertmanager", "promtool")
RULES = (f"{PROMETHEUS}/backstay.records.yml", f"{PROMETHEUS}/backstay.alerts.yml")

CHECKS: tuple[Check, ...] = (
    Check("generated files", (sys.executable, "-m", "deploy.watch.generate", "--check")),
    Check("prometheus.yml", ("promtool", "check", "config", f"{PROMETHEUS}/prometheus.yml"), ("promtool",)),
    Check("rules", ("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES), ("promtool",)),
    Check("tests of alerts", ("promtool", "test", "rules", f"{PROMETHEUS}/alerts.test.yml"), ("promtool",)),
    Check("tests of the budget", ("promtool", "test", "rules", f"{PROMETHEUS}/budget.test.yml"), ("promtool",)),
    Check("alertmanager.yml", ("amtool", "check-config", ALERTMANAGER), ("amtool",)),
    Check("expressions", (sys.executable, "-m", "deploy.watch.check_promql")),
    Check("types of dashboards", (sys.executable, "-m", "deploy.watch.check_types"), ("npm",)),
    Check("alerts and panels, live", (sys.executable, "-m", "deploy.watch.live"), SERVERS, waits=True),
    _route("page", "alertname=BackstayGatewayDown", "severity=critical"),
    _route("ticket", "alertname=BackstayFarmDown", "severity=warning"),
)


if __name__ == "__main__":
    sys.exit(exit_code(CHECKS))
