"""Options of the test suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cuts",
        type=int,
        default=8,
        help="how often the upstream of the foreign clients is cut (default %(default)s: every way once)",
    )
