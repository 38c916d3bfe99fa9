"""What mkdocs does not know of itself: lists of whole folders, and links that lead out of the documentation.

A link from a page to a file of the source tree is right when somebody reads the tree, and leads nowhere on the site.
There it becomes its text, with the path behind it where the text does not say it. A path that is not there fails the
build, as any broken link does.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "backstay.alerts.yml"
DOCS = ROOT / "docs"
OUTSIDE = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(?:https?:)?//[^>]*>|<link\b[^>]*\bhref=\"(?:https?:)?//[^>]*>"
)
RUNBOOK = re.compile(r"runbook_url: \"https?://[^/]+/([^\"]+)\"")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]*)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Fill in the folders named in the navigation as FOLDER/*."""
    config.nav = _filled(config.nav)
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Take out the links that lead out of the documentation."""
    return without_outer_links(markdown, page.file.src_uri)


def on_post_build(config: Any) -> None:
    """See to it that no page loads anything from outside, and that alerts link to pages that there are."""
    site = Path(config.site_dir)
    if missing := missing_runbooks(ALERTS.read_text(encoding="utf-8"), site):
        raise PluginError("alerts link to pages that are not there: " + ", ".join(missing))
    pages = sorted(site.rglob("*.html"))
    problems = [f"{page}: {found}" for page in pages for found in loaded_from_outside(page.read_text(encoding="utf-8"))]
    if problems:
        raise PluginError("loaded from outside:\n" + "\n".join(problems))


def loaded_from_outside(html: str) -> list[str]:
    """Scripts, pictures and style sheets of other hosts; links that somebody may click are none."""
    return OUTSIDE.findall(html)


def missing_runbooks(alerts: str, site: Path) -> list[str]:
    """What the links of alerts name that the built site does not have."""
    paths = RUNBOOK.findall(alerts)
    if len(paths) != alerts.count("alert:"):
        raise PluginError("not every alert has a link to its runbook")
    return sorted({path for path in paths if not (site / path).is_file()})


def without_outer_links(markdown: str, source: str) -> str:
    """The text of the page at `source`, relative to docs/; raises `PluginError` for a path that is not there."""

    def inward(link: re.Match[str]) -> str:
        words, target = link[1], link[2]
        path = ((DOCS / source).parent / target).resolve()
        if path.is_relative_to(DOCS):
            return link[0]
        if not path.exists() or not path.is_relative_to(ROOT):
            raise PluginError(f"{source}: {target} is not there")
        name = path.relative_to(ROOT).as_posix()
        return words if path.name in words else f"{words} (`{name}`)"

    return LINK.sub(inward, markdown)


def _filled(entries: Any) -> Any:
    if isinstance(entries, list):
        return [_filled(entry) for entry in entries]
    if isinstance(entries, dict):
        return {name: _filled(entry) for name, entry in entries.items()}
    if str(entries).endswith("/*"):
        folder = DOCS / str(entries)[:-2]
        return [path.relative_to(DOCS).as_posix() for path in sorted(folder.glob("*.md"))]
    return entries
