"""What pytest does around each benchmark of pytest-benchmark once ``--chainbench`` is given."""

from collections.abc import Generator
from typing import Any

import pytest

from agent.client.collecting import MeasuredBlock
from agent.client.http_client import AgentClient
from agent.plugins.figures import BLOCK_MS, figures_of
from agent.words import Json

KEY = "chainbench"
"""In ``extra_info``."""


class Benchmarks:
    """Measures the tests that have a benchmark: what pytest calls, without their fixtures.

    After a benchmark without evidence no other is measured: each might have to wait as long for the
    agent. Raises ValueError if the URL cannot be that of an agent.
    """

    def __init__(self, url: str | None) -> None:
        if url is not None:
            AgentClient(url)
        self._urls = [] if url is None else [url]
        self._why_not = ""
        self._without = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        fixture = getattr(item, "funcargs", {}).get("benchmark")
        extra_info = getattr(fixture, "extra_info", None)
        if not isinstance(extra_info, dict) or getattr(fixture, "disabled", False):
            return (yield)
        evidence: Json = {"available": False, "reason": self._why_not}
        if self._why_not:
            result = yield
        else:
            block = MeasuredBlock(self._urls, {"scope": "caller"}, tell=self._tell)
            with block:
                result = yield
            evidence = {**block.evidence, BLOCK_MS: block.block_ms}
        self._without += evidence["available"] is not True
        extra_info[KEY] = figures_of([evidence])
        return result

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        if self._without:
            terminalreporter.write_line(
                f"chainbench: no evidence of {self._without} benchmarks: {self._why_not}"
            )

    def _tell(self, reason: str) -> None:
        self._why_not = reason
