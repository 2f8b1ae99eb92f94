"""A report in a real browser: it fits a phone, a wide screen and paper, in light and in dark."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.report_browser import SCHEMES, fits_any_screen
from fakes.reports import HOSTILE, compared, single

pytest.importorskip("matplotlib")

from agent.report.page import page


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("which", ["pairs", "one", "hostile"])
def test_a_report_fits_any_screen(
    tool: Callable[[str], str], scheme: str, which: str, tmp_path: Path
) -> None:
    documents = {
        "pairs": compared,
        "one": single,
        "hostile": lambda: compared(6, (HOSTILE * 20, "x" * 300)),
    }
    fits_any_screen(tool("chromium"), page(documents[which]()), scheme, tmp_path)
