"""What of `/metrics` somebody takes: which of the two formats, and whether compressed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

OPEN_METRICS = "application/openmetrics-text"
TEXT = ("text/plain", "text/*", "*/*")
"""What stands for the text format, the most exact first."""

OUR_VERSIONS = re.compile(r"[12](\.\d+)*")
"""OpenMetrics 1. Version 2 is a draft and lays histograms out anew; whoever offers it also takes 1."""

WEIGHT = re.compile(r"[01](\.\d*)?")


class _Offer(NamedTuple):
    """One part of a header. `weight`: 0 if it is not taken at all."""

    what: str
    weight: float
    parameters: dict[str, str]


def _offers(header: str) -> Iterator[_Offer]:
    for part in header.lower().split(","):
        what, *given = (word.strip() for word in part.split(";"))
        pairs = (word.partition("=") for word in given)
        parameters = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
        weight = parameters.get("q", "1")
        yield _Offer(what, min(float(weight), 1.0) if WEIGHT.fullmatch(weight) else 1.0, parameters)


def wants_open_metrics(accept: str) -> bool:
    """Whether an Accept header asks for OpenMetrics by name, and does not prefer the text format.

    What is neither gets the text format: an answer that somebody may not take helps more than none.
    """
    offers = list(_offers(accept))
    named = [offer for offer in offers if offer.what == OPEN_METRICS]
    ours = [offer.weight for offer in named if OUR_VERSIONS.fullmatch(offer.parameters.get("version") or "1")]
    texts = ([offer.weight for offer in offers if offer.what == name] for name in TEXT)
    text = next((max(weights) for weights in texts if weights), 0.0)
    return max(ours, default=0.0) > 0 and max(ours) >= text


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding allows gzip by name."""
    return any(offer.weight > 0 for offer in _offers(accept_encoding) if offer.what == "gzip")
