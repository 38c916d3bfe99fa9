"""Write what follows from the tables: rules, tests of rules, dashboards and the reference page.

    python -m deploy.watch.generate [--check]
    python -m deploy.watch.generate --out FOLDER [--docs-url URL] [--grafana-url URL]

`--check` writes nothing and fails where a committed file differs. With URLs of your own alerts link to your pages; what
is made of them goes into a folder of yours, and the committed files stay as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.watch import cases, dashboards, rule_files
from deploy.watch.model import DOCS_URL, GRAFANA_URL, Links

ROOT = Path(__file__).resolve().parents[2]

WITH_LINKS = ("deploy/prometheus/backstay.alerts.yml", "deploy/kubernetes/base/prometheus-rule.yaml")
"""What is installed somewhere and has links in it."""


def files(links: Links) -> Mapping[str, str]:
    """Every generated file by its path in the repository."""
    return {
        "deploy/prometheus/backstay.records.yml": rule_files.records_file(),
        "deploy/prometheus/backstay.alerts.yml": rule_files.alerts_file(links=links),
        "deploy/alertmanager/alertmanager.yml": rule_files.alertmanager_file(),
        "deploy/kubernetes/base/prometheus-rule.yaml": rule_files.prometheus_rule_file(links),
        "docs/alerts.md": rule_files.reference_page(),
        **cases.files(links),
        **dashboards.files(),
    }


def differing(root: Path, links: Links) -> list[str]:
    """Paths of files that are missing or not what would be written."""
    return [path for path, text in files(links).items() if not _says(root / path, text)]


def write(root: Path, texts: Mapping[str, str]) -> None:
    """Write files by their paths below `root`."""
    for path, text in texts.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if `--check` finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--docs-url", default=DOCS_URL)
    parser.add_argument("--grafana-url", default=GRAFANA_URL)
    parser.add_argument("--out", type=Path, help="a folder for the rules with your own URLs")
    options = parser.parse_args(arguments)
    links = Links(options.docs_url.rstrip("/"), options.grafana_url.rstrip("/"))
    if options.out is not None:
        write(options.out, {Path(path).name: text for path, text in files(links).items() if path in WITH_LINKS})
        return 0
    if links != Links():
        parser.error("with URLs of your own say where to: --out FOLDER")
    if options.check:
        stale = differing(ROOT, links)
        for path in stale:
            print(f"{path} is not what python -m deploy.watch.generate writes", file=sys.stderr)
        return int(bool(stale))
    write(ROOT, files(links))
    return 0


if __name__ == "__main__":
    sys.exit(main())
