"""Options of the test suite."""

import os
import signal
from pathlib import Path

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

CHECKOUT = (Path(__file__).parents[1] / "src" / "backstay").is_dir()

# What a shell starts in the background ignores Ctrl-C, and so would every program that a test starts and ends.
signal.signal(signal.SIGINT, signal.default_int_handler)

ON_DEMAND = {
    Path(__file__).parent / "browser": "--browser",  # needs a package of the system
    Path(__file__).parent / "pages" / "test_clean_clone.py": "--clean-clone",  # installs everything anew
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cuts",
        type=int,
        default=None,
        help="how often the foreign clients' upstream is cut (default: every way once)",
    )
    parser.addoption("--cuts-seed", type=int, default=None, help="the seed a failed run has printed")
    parser.addoption(
        "--schedules",
        type=int,
        default=300,
        help="how many lives of a session under faults are simulated (default %(default)s: some seconds)",
    )
    parser.addoption("--kills", type=int, default=6, help="how often `backstay run` is killed (default %(default)s)")
    parser.addoption("--kills-seed", type=int, default=None, help="the seed a failed run has printed")
    parser.addoption("--terms", type=int, default=4, help="how often `backstay run` gets SIGTERM (default %(default)s)")
    parser.addoption("--terms-seed", type=int, default=None, help="the seed a failed run has printed")
    parser.addoption(
        "--kills-version",
        type=int,
        choices=(200, 226),
        default=None,
        help="the server version, text or protobuf, of the client beside it (default: by turns)",
    )
    parser.addoption("--dropped", default="1", help="seconds for which TWS drops requests (default %(default)s)")
    parser.addoption("--streams", type=int, default=120, help="so many streams are put back (default %(default)s)")
    parser.addoption(
        "--operations",
        type=int,
        default=40,
        help="how many commands operators give while foreign clients trade (default %(default)s)",
    )
    parser.addoption("--operations-seed", type=int, default=None, help="the seed a failed run has printed")
    parser.addoption(
        "--closes", type=int, default=40, help="at how many random moments a house is closed (default %(default)s)"
    )
    parser.addoption("--closes-seed", type=int, default=None, help="the seed a failed run has printed")
    parser.addoption(
        "--clean-clone", action="store_true", help="type the quickstart through in a clone of the last commit"
    )
    parser.addoption("--browser", action="store_true", help="run tests/browser as well; needs Debian's chromium")
    parser.addoption("--pictures", action="store_true", help="write the pictures in docs/ anew, with --browser")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave alone what is asked for by an option of its own."""
    option = ON_DEMAND.get(collection_path)
    return True if option and not config.getoption(option) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Against a wheel, leave out what looks at the tree it was made from."""
    if item.get_closest_marker("checkout") and not CHECKOUT:
        pytest.skip("there is no source tree beside these tests")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is left out."""
    return [
        f"tests/{path.relative_to(Path(__file__).parent)} is left out: make {option.removeprefix('--')} runs it"
        for path, option in ON_DEMAND.items()
        if not config.getoption(option)
    ]
