"""Options of the test suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cuts",
        type=int,
        default=9,
        help="how often the foreign clients' upstream is cut (default %(default)s: every way once)",
    )
    parser.addoption("--cuts-seed", type=int, default=None, help="the seed a failed run has printed")
