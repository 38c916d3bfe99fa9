"""Which format a header asks for, and that none is too odd."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.metrics.negotiation import accepts_gzip, wants_open_metrics

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        (BROWSER, False),
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ('Application/OpenMetrics-Text; Version="1.0.0"', True),
        ("application/openmetrics-text;version=2.0.0", True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=9.0.0", False),
        ("application/openmetrics-text;version=soon", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0, */*;q=0", False),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.5", True),
        ("text/plain;q=1, application/openmetrics-text;version=1.0.0;q=0.1", False),
        ("text/plain;q=0.1, application/openmetrics-text;version=1.0.0;q=0.9", True),
        ("application/openmetrics-text;q=0.5, */*", False),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.1, */*", True),
        ("application/openmetrics-text;q=much, text/plain;q=0.9", True),
    ],
)
def test_open_metrics_is_for_those_who_name_it_and_do_not_like_text_better(accept, wanted):
    assert wants_open_metrics(accept) is wanted


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip; q=1", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("deflate", False),
    ],
)
def test_whether_gzip_is_wanted(header, wanted):
    assert accepts_gzip(header) is wanted


@given(st.text(alphabet='agzip/*+;=, "q.01version\tä', max_size=60))
def test_no_header_is_too_odd(header):
    assert wants_open_metrics(header) in (True, False)
    assert accepts_gzip(header) in (True, False)
