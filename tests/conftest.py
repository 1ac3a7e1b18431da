"""What every test may ask for, and what a run says about itself: what it left out, and `bot/`'s branches."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest
from postgres_server import PostgresServer

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
BRANCHES = pytest.StashKey[str]()
LEFT_OUT = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL, started for the first test that asks. Who stops it starts it again."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The `postgresql://` address of an empty database that lives as long as the test."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bot-branches",
        type=float,
        metavar="PERCENT",
        help="with --cov: fail unless more than this share of the branches in bot/ was taken",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the browser's tests out where there is no browser; the summary says so."""
    browser = [item for item in items if needs_browser(item)]
    config.stash[LEFT_OUT] = 0
    if browser and CHROMIUM is None:
        config.stash[LEFT_OUT] = len(browser)
        config.hook.pytest_deselected(items=browser)
        items[:] = [item for item in items if not needs_browser(item)]


def needs_browser(item: pytest.Item) -> bool:
    """Everything in tests/browser, and whatever is marked so elsewhere."""
    return "browser" in item.path.parent.parts or item.get_closest_marker("browser") is not None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when too few branches of `bot/` were taken. pytest-cov has combined its data by now."""
    floor = session.config.getoption("--bot-branches")
    if floor is None:
        return
    taken, branches = branches_of_bot()
    share = 100 * taken / branches if branches else 0.0
    enough = share > floor
    session.config.stash[BRANCHES] = (
        f"{'' if enough else 'FAILED: '}{taken} of {branches} branches in bot/ were taken, {share:.1f} %; "
        f"more than {floor:g} % is asked for."
    )
    if not enough and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def branches_of_bot() -> tuple[int, int]:
    """How many branches of `bot/` were taken, and how many there are."""
    measured = coverage.Coverage()
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        measured.json_report(outfile=str(report), include=["bot/*"])
        totals = json.loads(report.read_text())["totals"]
    return totals["covered_branches"], totals["num_branches"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The last words before pytest's own: figures, and what this run did not do."""
    if BRANCHES in config.stash:
        terminalreporter.write_line(config.stash[BRANCHES])
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"Left out: {left_out} browser tests, for want of Chromium.")
    if os.environ.get("ROLLCALL_LONG") != "1":
        terminalreporter.write_line("Reduced: long tests ran with small counts; see `bash tests/run --long`.")
