"""What a real browser makes of a report: on a phone, on a wide screen, and on paper.

An outer page shows it in frames, and sends back what it finds there: the report's own policy would
not let a script run.
"""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.browser import LOADING_SECONDS, Handler, browsing, http_server

WIDTHS = (360, 1600)
PAGE = 718
"""Pixels of CSS between the margins of a sheet of A4, as Chromium prints it."""
SCHEMES = {"light": 1, "dark": 0}
"""Blink's numbers of color schemes."""
PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
LARGEST = 500_000
"""Bytes of a report, so that it can be attached to a message."""

OUTER = """<!doctype html><meta charset=utf-8><title>outer</title><link rel=icon href="data:,">
<body><script>
function measured(frame) {
  const inner = frame.contentDocument, root = inner.documentElement;
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
    hidden: [...inner.querySelectorAll("table")].filter(one => !one.checkVisibility()).length,
  };
}
async function framed(width) {
  const frame = document.createElement("iframe");
  Object.assign(frame, {width, height: 900, src: "/report"});
  await new Promise(resolve => { frame.onload = resolve; document.body.append(frame); });
  return frame;
}
function asPrinted(document) {
  for (const rule of document.styleSheets[0].cssRules) {
    const text = rule.media?.mediaText ?? "";
    if (text.includes("print")) rule.media.mediaText = "all";
    if (text.includes("screen")) rule.media.mediaText = "not all";
  }
}
async function all(widths, page) {
  const found = {};
  for (const width of widths) {
    const frame = await framed(width);
    for (const one of frame.contentDocument.querySelectorAll("details")) one.open = true;
    found[width] = measured(frame);
  }
  const frame = await framed(page);
  asPrinted(frame.contentDocument);
  return {screens: found, paper: measured(frame)};
}
all(%s, %d).then(found => found, error => String(error)).then(
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
            outer = OUTER % (json.dumps(WIDTHS), PAGE)
            self.answer(200, "text/html", (report if self.path == "/report" else outer).encode())

        def do_POST(self) -> None:  # noqa: N802  http.server's name
            seen.found = json.loads(self.body())
            self.answer(200, "text/plain", b"")
            seen.done.set()

    return Pages


def visit(chromium: str, report: str, scheme: str, folder: Path) -> Seen:
    """Show a report to a reader who prefers light or dark. ``folder``: for the browser's files."""
    folder.mkdir(exist_ok=True)
    seen = Seen()
    option = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
    with (
        http_server(serving(report, seen)) as port,
        browsing(chromium, folder, f"http://127.0.0.1:{port}/", option),
    ):
        assert seen.done.wait(LOADING_SECONDS), "the page was not run to its end"
    return seen


def fits_any_screen(chromium: str, report: str, scheme: str, folder: Path) -> None:
    """Assert that a report can be read on a phone, on a wide screen and printed."""
    assert len(report.encode()) <= LARGEST
    seen = visit(chromium, report, scheme, folder)
    assert set(seen.requests) == {"/", "/report"}
    screens, paper = seen.found["screens"], seen.found["paper"]
    assert set(screens) == {str(width) for width in WIDTHS}
    for width, found in screens.items():
        assert found["width"] in (int(width), int(width) - 15), "without or with a scroll bar"
        _readable(found, PAPER[scheme])
        assert found["smallest"] > 8, "text of a picture is too small to read"
    _readable(paper, PAPER["light"])


def _readable(found: Any, background: str) -> None:
    assert found["scroll"] == found["width"], "the page scrolls sideways"
    assert found["pictures"]
    assert all(wide > 250 and high > 80 for wide, high in found["pictures"])
    assert found["outside"] == []
    assert found["background"] == background
    assert background not in found["fills"]
    assert found["hidden"] == 0, "tables that nobody can see"
    assert found["loaded"] == []
    assert found["scripts"] == 0
