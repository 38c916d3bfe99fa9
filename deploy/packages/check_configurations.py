"""Check that each configuration in deploy/ is one that backstay takes.

python -m deploy.packages.check_configurations
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[1]


def main() -> int:
    """Exit code 1 if one is refused."""
    refused = 0
    for path in sorted(DEPLOY.rglob("*.toml")):
        command = (sys.executable, "-m", "backstay", "check", str(path))
        refused += subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0  # noqa: S603
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main())
