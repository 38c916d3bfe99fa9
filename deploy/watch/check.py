"""Check what is in deploy/ with the tools of those who will read it: `make watch-check`.

Each check names the tools it needs. One that is missing is told, and is a failure where BACKSTAY_CI is set: a check
that is left out must not look like one that passed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = "deploy/prometheus"
ALERTMANAGER = "deploy/alertmanager/alertmanager.yml"

PACKAGES = {
    "promtool": "Debian's prometheus",
    "prometheus": "Debian's prometheus",
    "amtool": "Debian's prometheus-alertmanager",
    "prometheus-alertmanager": "Debian's prometheus-alertmanager",
    "npm": "Node.js with npm",
}


@dataclass(frozen=True, slots=True)
class Check:
    """A command that ends with 0 if all is well, and the tools without which it cannot be run."""

    name: str
    command: Sequence[str]
    tools: tuple[str, ...] = ()


def _route(receiver: str, *labels: str) -> Check:
    command = ("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"--verify.receivers={receiver}")
    return Check(f"alerts go to {receiver}", (*command, *labels), ("amtool",))


SERVERS = ("prometheus", "prometheus-alertmanager")
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
    Check("alerts and panels, live", (sys.executable, "-m", "deploy.watch.live"), SERVERS),
    _route("page", "alertname=BackstayGatewayDown", "severity=critical"),
    _route("ticket", "alertname=BackstayFarmDown", "severity=warning"),
)


def run(checks: Sequence[Check], *, strict: bool) -> list[str]:
    """What failed. A check whose tool is missing counts as failed when `strict`."""
    failed: list[str] = []
    for check in checks:
        missing = [tool for tool in check.tools if shutil.which(tool) is None]
        if missing:
            wanted = ", ".join(f"{tool} ({PACKAGES.get(tool, 'not installed')})" for tool in missing)
            print(f"-- {check.name}: NOT CHECKED, needs {wanted}", flush=True)
            failed += [check.name] if strict else []
            continue
        begun = time.monotonic()
        done = subprocess.run(  # noqa: S603
            check.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        verdict = "ok" if done.returncode == 0 else f"FAILED ({done.returncode})"
        print(f"-- {check.name}: {verdict}, {time.monotonic() - begun:.1f} s", flush=True)
        if done.returncode != 0:
            print(done.stdout, flush=True)
            failed.append(check.name)
    return failed


def main() -> int:
    """Exit code 1 if anything failed."""
    return int(bool(run(CHECKS, strict=bool(os.environ.get("BACKSTAY_CI")))))


if __name__ == "__main__":
    sys.exit(main())
