"""Check the systemd unit: that systemd takes every line of it, and that it gives few rights.

python -m deploy.packages.check_unit
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

UNIT = Path(__file__).resolve().parents[1] / "systemd" / "backstay.service"
INSTALLED = "/opt/backstay/bin/backstay"
THRESHOLD = "20"
"""Of an exposure between 0 and 100; an unhardened service has 96."""


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


def main() -> int:
    """Exit code 1 if systemd objects, if the unit gives too many rights, or if a misspelt key is not found."""
    text = UNIT.read_text(encoding="utf-8")
    found = verified(text)
    if not verified(text.replace("WatchdogSec=", "WatchdogSeconds=")):
        found += "a misspelt key is not found\n"
    code, said = _says("systemd-analyze", "security", "--offline=true", f"--threshold={THRESHOLD}", str(UNIT))
    found += said if code != 0 else ""
    sys.stderr.write(found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
