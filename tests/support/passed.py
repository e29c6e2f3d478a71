"""A plugin of pytest that keeps what has passed: `pytest -p tests.support.passed --record FILE`.

A session that was cut off goes on with the tests that have not passed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, help="file of the tests that have passed")


class Recorder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.passed = set(path.read_text().splitlines()) if path.exists() else set[str]()

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        done = [item for item in items if item.nodeid in self.passed]
        config.hook.pytest_deselected(items=done)
        items[:] = [item for item in items if item.nodeid not in self.passed]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            with self.path.open("a") as file:
                file.write(f"{report.nodeid}\n")
                file.flush()
                os.fsync(file.fileno())

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.passed and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--record"):
        config.pluginmanager.register(Recorder(path))
