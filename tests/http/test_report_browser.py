"""A report in a real browser: it fits a phone and a wide screen, in light and in dark.

An outer page shows it in frames of both widths, and sends back what it finds there: the report's
own policy would not let a script run.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.browser import LOADING_SECONDS, Handler, browsing, http_server
from fakes.reports import HOSTILE, compared, single

pytest.importorskip("matplotlib")

from agent.report.page import page

WIDTHS = (360, 1600)
SCHEMES = {"light": 1, "dark": 0}
"""Blink's numbers of color schemes."""
PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}

OUTER = """<!doctype html><meta charset=utf-8><title>outer</title><link rel=icon href="data:,">
<body><script>
function measured(frame) {
  const inner = frame.contentDocument, root = inner.documentElement;
  for (const one of inner.querySelectorAll("details")) one.open = true;
  const boxes = [...inner.querySelectorAll("svg.picture")].map(one => one.getBoundingClientRect());
  const texts = [...inner.querySelectorAll("svg.picture text")];
  const color = one => frame.contentWindow.getComputedStyle(one);
  return {
    width: root.clientWidth, scroll: root.scrollWidth,
    pictures: boxes.map(box => [box.width, box.height]),
    smallest: Math.min(...texts.map(one => one.getBoundingClientRect().height)),
    outside: texts.filter(one => one.getBoundingClientRect().right > root.clientWidth + 1
      || one.getBoundingClientRect().left < -1).map(one => one.textContent),
    background: color(inner.body).backgroundColor,
    fills: [...new Set(texts.map(one => color(one).fill))],
    loaded: frame.contentWindow.performance.getEntriesByType("resource").map(one => one.name),
    scripts: inner.scripts.length,
  };
}
async function all(widths) {
  const found = {};
  for (const width of widths) {
    const frame = document.createElement("iframe");
    Object.assign(frame, {width, height: 900, src: "/report"});
    await new Promise(resolve => { frame.onload = resolve; document.body.append(frame); });
    found[width] = measured(frame);
  }
  return found;
}
all(%s).then(found => found, error => String(error)).then(
  found => fetch("/done", {method: "POST", body: JSON.stringify(found)}));
</script>"""


@dataclass
class Seen:
    """What was asked for, and what the outer page found."""

    requests: list[str] = field(default_factory=list)
    found: Any = None
    done: threading.Event = field(default_factory=threading.Event)


def serving(report: str, seen: Seen) -> type[Handler]:
    class Pages(Handler):
        def do_GET(self) -> None:  # noqa: N802  http.server's name
            seen.requests.append(self.path)
            text = report if self.path == "/report" else OUTER % json.dumps(WIDTHS)
            self.answer(200, "text/html", text.encode())

        def do_POST(self) -> None:  # noqa: N802  http.server's name
            seen.found = json.loads(self.body())
            self.answer(200, "text/plain", b"")
            seen.done.set()

    return Pages


def visit(chromium: str, report: str, scheme: str, folder: Path) -> Seen:
    seen = Seen()
    option = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
    with (
        http_server(serving(report, seen)) as port,
        browsing(chromium, folder, f"http://127.0.0.1:{port}/", option),
    ):
        assert seen.done.wait(LOADING_SECONDS), "the page was not run to its end"
    return seen


@pytest.fixture
def chromium(tool: Callable[[str], str]) -> str:
    return tool("chromium")


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("which", ["pairs", "one", "hostile"])
def test_a_report_fits_any_screen(chromium: str, scheme: str, which: str, tmp_path: Path) -> None:
    documents = {
        "pairs": compared,
        "one": single,
        "hostile": lambda: compared(6, (HOSTILE * 20, "x" * 300)),
    }
    seen = visit(chromium, page(documents[which]()), scheme, tmp_path)
    assert set(seen.requests) == {"/", "/report"}
    assert set(seen.found) == {str(width) for width in WIDTHS}
    for width, found in seen.found.items():
        assert found["width"] == int(width) or found["width"] == int(width) - 15
        assert found["scroll"] == found["width"], "the page scrolls sideways"
        assert found["pictures"]
        assert all(wide > 250 and high > 80 for wide, high in found["pictures"])
        assert found["outside"] == []
        assert found["smallest"] > 8, "text of a picture is too small to read"
        assert found["background"] == PAPER[scheme]
        assert PAPER[scheme] not in found["fills"]
        assert found["loaded"] == []
        assert found["scripts"] == 0
