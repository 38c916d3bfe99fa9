"""Check the systemd unit: that systemd takes every line of it, that it gives few rights, and not too few.

python -m deploy.packages.check_unit
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

UNIT = Path(__file__).resolve().parents[1] / "systemd" / "backstay.service"
INSTALLED = "/opt/backstay/bin/backstay"
THRESHOLD = "20"
"""Of an exposure between 0 and 100; an unhardened service has 96."""
PROC = {"ProtectProc=invisible": "hidepid=invisible", "ProcSubset=pid": "subset=pid"}
"""What these lines make of /proc."""
METRICS = "import prometheus_client as p; print(p.generate_latest().decode())"


def _says(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    return done.returncode, done.stdout + done.stderr


def verified(text: str) -> str:
    """What systemd objects to; empty if nothing. The program is here instead of where the unit expects it."""
    with tempfile.TemporaryDirectory(prefix="backstay-unit-") as name:
        path = Path(name) / UNIT.name
        path.write_text(text.replace(INSTALLED, str(Path(sys.executable).parent / "backstay")), encoding="utf-8")
        _code, said = _says("systemd-analyze", "verify", str(path))
    return said  # an unknown key is a warning with exit code 0: any word counts


def has_metrics_of_the_process(text: str) -> bool:
    """Whether there are any with the /proc that this unit gives."""
    options = [option for line, option in PROC.items() if f"\n{line}\n" in text]
    script = f"mount -t proc -o {','.join(options) or 'rw'} proc /proc && exec {sys.executable} -c '{METRICS}'"
    rights = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    code, said = _says("unshare", *rights, "--mount", "--pid", "--fork", "sh", "-c", script)
    if code != 0:
        raise SystemExit(f"no /proc as the unit has it: {said}")
    return "process_resident_memory_bytes" in said


def main() -> int:
    """Exit code 1 if systemd objects, if the rights are too many or too few, or if a mistake is not found."""
    text = UNIT.read_text(encoding="utf-8")
    found = verified(text)
    if not has_metrics_of_the_process(text):
        found += "there are no metrics of the process\n"
    if has_metrics_of_the_process(text.replace("ProcSubset=all", "ProcSubset=pid")):
        found += "a /proc without metrics of the process is not found\n"
    if "--config ${CREDENTIALS_DIRECTORY}" in text:
        found += "the configuration is a copy: a reload would not see what has changed\n"
    if not verified(text.replace("WatchdogSec=", "WatchdogSeconds=")):
        found += "a misspelt key is not found\n"
    code, said = _says("systemd-analyze", "security", "--offline=true", f"--threshold={THRESHOLD}", str(UNIT))
    found += said if code != 0 else ""
    sys.stderr.write(found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
