"""Check that compose's services find their files, one another, and what alerts link to, with each profile.

python -m deploy.packages.check_compose
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from deploy.packages.meaning_compose import Project, misunderstandings

COMPOSE = Path(__file__).resolve().parents[1] / "compose" / "compose.yaml"
PROFILES = ("simulator", "paper")
MISTAKES = (
    ("/var/lib/grafana/dashboards/backstay:ro", "/var/lib/grafana/dashboards:ro"),
    ("127.0.0.1:8000:8000", "127.0.0.1:8001:8000"),
    ('["gateway", "scraping"]', '["scraping"]'),
    ('{"gateway": {}, ', "{"),
)
"""What is put wrong, to see that it is found in a profile at least."""


def read(path: Path) -> Any:
    """A file of YAML or TOML."""
    text = path.read_text(encoding="utf-8")
    return tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)


def problems(tree: Any) -> list[str]:
    """What is wrong with the compose file, in any profile."""
    projects = [Project(tree, COMPOSE.parent, profile, read) for profile in PROFILES]
    return [f"{one.profile}: {problem}" for one in projects for problem in misunderstandings(one)]


def main() -> int:
    """Exit code 1 if something is not found, or if a mistake is not."""
    text = json.dumps(read(COMPOSE))
    found = problems(json.loads(text))
    found += [
        f"{wrong} is not found" for right, wrong in MISTAKES if not problems(json.loads(text.replace(right, wrong)))
    ]
    sys.stderr.write("".join(f"{one}\n" for one in found))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
