"""The reference of the metrics is what the catalogue says."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from backstay.metrics.catalogue import CATALOGUE
from backstay.metrics.reference import HEAD, reference

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.mark.checkout
def test_the_page_in_the_documentation_is_up_to_date():
    written = PAGE.read_text(encoding="utf-8")
    assert written == reference(), "python -m backstay.metrics.reference > docs/metrics.md"


def test_every_metric_is_on_the_page_once():
    page = reference()
    for metric in CATALOGUE:
        assert page.count(f"| `{metric.name}` |") == 1
        assert metric.help in page


def test_the_unit_of_a_metric_is_beside_its_type():
    page = reference()
    for metric in CATALOGUE:
        assert f"| `{metric.name}` | {metric.kind.value} | {metric.unit.value} |" in page


def test_the_example_on_the_page_runs():
    from backstay.config import Config  # noqa: PLC0415
    from backstay.manager import Manager  # noqa: PLC0415

    code = HEAD.partition("```python\n")[2].partition("```")[0]
    scope: dict[str, object] = {"manager": Manager(Config())}
    exec(code, scope)  # noqa: S102  # it is on the page as it is run here
    registry = scope["registry"]
    assert isinstance(registry, CollectorRegistry)
    assert registry.get_sample_value("backstay_journal_write_failures_total") == 0
    assert registry.get_sample_value("backstay_journal_usable") is None, "nothing runs yet"
