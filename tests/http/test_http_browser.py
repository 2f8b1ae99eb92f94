"""What a real browser's page can make the agent do: nothing, from another origin.

Chromium opens a page that tries every request that needs no permission, and those that ask for it.
They pass through a relay, which notes them, so that a test cannot pass because nothing was sent.
"""

import http.client
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes.browser import LOADING_SECONDS, Handler, browsing, http_server
from fakes.http_server import RunningServer, running_server
from fakes.waiting import eventually

TELLING = ("origin", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
"""What browsers say about where a request comes from."""

PAGE = """<!doctype html><meta charset=utf-8><title>page</title><body><script>
const agent = "%s", tried = [];

function form(route, type, fields) {
  return new Promise(resolve => {
    const frame = document.createElement("iframe");
    frame.name = "frame" + tried.length;
    document.body.appendChild(frame);
    const form = document.body.appendChild(document.createElement("form"));
    Object.assign(form, {method: "post", enctype: type, action: agent + route, target: frame.name});
    for (const [name, value] of Object.entries(fields))
      form.appendChild(Object.assign(document.createElement("input"), {name, value}));
    tried.push(`form ${type} ${route}`);
    frame.onload = resolve;
    form.submit();
  });
}

function script(how, route, options) {
  tried.push(`${how} ${route}`);
  return fetch(agent + route, {method: "POST", ...options}).then(() => {}, () => {});
}

async function everything() {
  for (const route of ["/start", "/report", "/stop"]) {
    for (const type of ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]) {
      await form(route, type, {'{"scenario": "form", "x': '": 1}'});
      await form(route, type, {});
    }
    if (location.search === "?forms") continue;
    const body = '{"baseline_ms": 1, "optimized_ms": 1, "gain_pct": 0}';
    for (const type of ["application/x-www-form-urlencoded", "text/plain"]) {
      const headers = {"Content-Type": type};
      await script("no-cors " + type, route, {mode: "no-cors", body, headers});
      await script("cors " + type, route, {body, headers});
    }
    await script("no-cors untyped", route, {mode: "no-cors", body: new Blob([body])});
    await script("no-cors empty", route, {mode: "no-cors"});
    await script("cors json", route, {body, headers: {"Content-Type": "application/json"}});
    tried.push("beacon " + route);
    navigator.sendBeacon(agent + route, body);
  }
}

everything().then(() => tried, error => [String(error)]).then(
  tried => fetch("/done", {method: "POST", body: JSON.stringify(tried)}));
</script>"""


@dataclass
class Noted:
    """What has passed through a relay, as (method, route, status), and the page's own account."""

    requests: list[tuple[str, str, int]] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


def relay(port: int, noted: Noted, *, telling: bool) -> type[Handler]:
    """Return a handler that passes requests on, without what browsers tell unless ``telling``."""

    class Relay(Handler):
        def handle_any(self) -> None:
            headers = {
                name: value
                for name, value in self.headers.items()
                if telling or name.lower() not in TELLING
            }
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(self.command, self.path, self.body(), headers)
            response = connection.getresponse()
            noted.requests.append((self.command, self.path, response.status))
            self.answer(response.status, "application/json", response.read())
            connection.close()

        do_GET = do_POST = do_OPTIONS = handle_any  # noqa: N815  http.server's names

    return Relay


def page(agent: str, noted: Noted) -> type[Handler]:
    class Page(Handler):
        def do_GET(self) -> None:  # noqa: N802  http.server's name
            self.answer(200, "text/html", (PAGE % agent).encode())

        def do_POST(self) -> None:  # noqa: N802  http.server's name
            noted.tried = json.loads(self.body())
            self.answer(200, "text/plain", b"")
            noted.done.set()

    return Page


def visit(chromium: str, server: RunningServer, folder: Path, host: str, query: str = "") -> Noted:
    """Have Chromium open the page at a name of this machine, and return what happened.

    With the query ``?forms`` the page only sends forms, and the relay keeps to itself what the
    browser tells of their origin.
    """
    noted = Noted()
    with ExitStack() as stack:
        relayed = stack.enter_context(http_server(relay(server.port, noted, telling=not query)))
        own = stack.enter_context(http_server(page(f"http://127.0.0.1:{relayed}", noted)))
        stack.enter_context(browsing(chromium, folder, f"http://{host}:{own}/{query}"))
        assert noted.done.wait(LOADING_SECONDS), "the page was not run to its end"
        # All but the requests that asked first ("cors json"), which was not granted. The last
        # beacon may still be on its way.
        posts = [tried for tried in noted.tried if not tried.startswith("cors json")]
        eventually(lambda: len([r for r in noted.requests if r[0] == "POST"]) == len(posts))
    return noted


@pytest.fixture
def chromium(tool: Callable[[str], str]) -> str:
    return tool("chromium")


def sent(noted: Noted, route: str) -> list[int]:
    return [status for method, path, status in noted.requests if (method, path) == ("POST", route)]


@pytest.mark.thorough(but="127.0.0.1")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_changes_nothing(chromium: str, host: str, tmp_path: Path) -> None:
    """By address the page is of the same site as the agent, by name of another."""
    with running_server() as server:
        noted = visit(chromium, server, tmp_path, host)
        assert server.recorder.requests == []
        assert server.recorder.reports == []
    assert len(noted.tried) == 3 * 14
    assert {status for _, _, status in noted.requests} == {403}


def test_forms_start_nothing_even_if_the_browser_sends_no_origin(
    chromium: str, tmp_path: Path
) -> None:
    with running_server() as server:
        noted = visit(chromium, server, tmp_path, "localhost", "?forms")
        assert server.recorder.requests == []
        assert server.recorder.reports == []
    assert set(sent(noted, "/start")) == set(sent(noted, "/report")) == {415}
    # An empty form is an empty body, which ends the run, if there is one.
    assert set(sent(noted, "/stop")) == {409, 415}
    assert len(noted.tried) == 3 * 6
