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
from concurrent.futures import ThreadPoolExecutor
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
    "unshare": "Debian's util-linux",
    "buildah": "Debian's buildah",
    "debootstrap": "Debian's debootstrap",
}
"""Where the tools come from."""


@dataclass(frozen=True, slots=True)
class Check:
    """A command that ends with 0 if all is well, and the tools without which it cannot be run.

    `waits`: most of the time it does nothing else, and so it goes on beside the others.
    """

    name: str
    command: Sequence[str]
    tools: tuple[str, ...] = ()
    waits: bool = False


def run(checks: Sequence[Check], *, strict: bool) -> list[str]:
    """What failed. A check whose tool is missing counts as failed when `strict`."""
    possible = [check for check in checks if _has_tools(check)]
    with ThreadPoolExecutor() as pool:
        beside = [(check.name, pool.submit(_is_well, check)) for check in possible if check.waits]
        well = {check.name: _is_well(check) for check in possible if not check.waits}
        well |= {name: verdict.result() for name, verdict in beside}
    return [check.name for check in checks if not well.get(check.name, not strict)]


def _has_tools(check: Check) -> bool:
    missing = [tool for tool in check.tools if shutil.which(tool) is None]
    if missing:
        wanted = ", ".join(f"{tool} ({PACKAGES.get(tool, 'not installed')})" for tool in missing)
        print(f"-- {check.name}: NOT CHECKED, needs {wanted}", flush=True)
    return not missing


def _is_well(check: Check) -> bool:
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603
        check.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    verdict = "ok" if done.returncode == 0 else f"FAILED ({done.returncode})"
    said = "" if done.returncode == 0 else f"\n{done.stdout}"
    print(f"-- {check.name}: {verdict}, {time.monotonic() - begun:.1f} s{said}", flush=True)
    return done.returncode == 0


def exit_code(checks: Sequence[Check]) -> int:
    """Run them: 1 if one has failed, or could not be made where BACKSTAY_CI is set. Tools of this environment count."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return int(bool(run(checks, strict="BACKSTAY_CI" in os.environ)))
