"""Check what is in deploy/ with the tools of those who will read it.

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

ROOT = Path(__file__).resolve().parents[1]

PACKAGES = {
    "promtool": "Debian's prometheus",
    "prometheus": "Debian's prometheus",
    "amtool": "Debian's prometheus-alertmanager",
    "prometheus-alertmanager": "Debian's prometheus-alertmanager",
    "npm": "Node.js with npm",
    "hadolint": "the dependency group deploy",
    "check-jsonschema": "the dependency group deploy",
    "kubernetes-validate": "the dependency group deploy",
    "kubectl": "kubectl 1.27 or newer",
    "systemd-analyze": "Debian's systemd",
    "buildah": "Debian's buildah",
    "debootstrap": "Debian's debootstrap",
}
"""Where the tools come from."""


@dataclass(frozen=True, slots=True)
class Check:
    """A command that ends with 0 if all is well, and the tools without which it cannot be run."""

    name: str
    command: Sequence[str]
    tools: tuple[str, ...] = ()


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


def exit_code(checks: Sequence[Check]) -> int:
    """Run them: 1 if one has failed, or could not be made where BACKSTAY_CI is set. Tools of this environment count."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return int(bool(run(checks, strict="BACKSTAY_CI" in os.environ)))
