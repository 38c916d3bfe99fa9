"""Options of the test suite."""

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadlines: timings belong in benchmarks. The same examples in every run of a check that others wait for.
settings.register_profile(
    "backstay",
    deadline=None,
    suppress_health_check=(HealthCheck.too_slow,),
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("backstay")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cuts",
        type=int,
        default=None,
        help="how often the foreign clients' upstream is cut (default: every way once)",
    )
    parser.addoption("--cuts-seed", type=int, default=None, help="the seed a failed run has printed")
    parser.addoption("--kills", type=int, default=6, help="how often `backstay run` is killed (default %(default)s)")
    parser.addoption("--kills-seed", type=int, default=None, help="the seed a failed run has printed")
