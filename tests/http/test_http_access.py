"""Who may use the agent over TCP: who knows a token, processes of this machine, or anybody."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from fakes.http_server import RunningServer, running_server
from fakes.recorder import FakeRecorder
from hypothesis import given
from hypothesis import strategies as st
from quart_trio.testing import TrioClient

from agent.errors import AgentError
from agent.http.access import Access, digest
from agent.http.app import create_app
from agent.http.settings import HttpSettings
from agent.http.unix_listener import unix_listener
from agent.settings import SocketFile

TOKEN, READ_TOKEN = "t" * 32, "r" * 32
WITH_TOKENS = Access(digest(TOKEN), digest(READ_TOKEN), exposed=True)
MODES = {
    "loopback": Access(),
    "token": WITH_TOKENS,
    "insecure": Access(exposed=True),
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[RunningServer]:
    with running_server(HttpSettings(access=WITH_TOKENS)) as server:
        yield server


ROUTES = [("GET", "/status"), ("GET", "/metrics"), ("POST", "/start"), ("GET", "/openapi.json")]


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/no-such"), ("PATCH", "/start")])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("x" * 32),
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "t"),
        bearer(""),
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        bearer("ü" * 32),
    ],
    ids=["none", "other", "shorter", "longer", "empty", "no scheme", "basic", "not ASCII"],
)
def test_without_the_token_nothing_is_answered_but_what_is_missing(
    guarded: RunningServer, method: str, path: str, headers: dict[str, str]
) -> None:
    sent = {name: value.encode() for name, value in headers.items()}
    answer = requests.request(method, guarded.url + path, headers=sent)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="chainbench-agent"'
    assert "CHAINBENCH_AGENT_TOKEN_FILE" in answer.json()["message"]
    assert guarded.recorder.requests == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_token_everything_works(scheme: str) -> None:
    with running_server(HttpSettings(access=WITH_TOKENS)) as server:
        session = requests.Session()
        session.headers["Authorization"] = f"{scheme} {TOKEN}"
        assert session.post(f"{server.url}/start", json={}).status_code == 200
        assert session.post(f"{server.url}/stop").json()["available"] is True
        assert session.get(f"{server.url}/metrics").status_code == 200
        assert session.get(f"{server.url}/status").json()["access"] == {
            "mode": "token",
            "tls": False,
        }


def test_the_other_token_may_only_read(guarded: RunningServer) -> None:
    for path in ("/status", "/metrics", "/openapi.json"):
        assert requests.get(guarded.url + path, headers=bearer(READ_TOKEN)).status_code == 200
    for method, path in [("POST", "/start"), ("POST", "/stop"), ("POST", "/report")]:
        answer = requests.request(method, guarded.url + path, headers=bearer(READ_TOKEN))
        assert (answer.status_code, answer.json()["error"]) == (403, "read_only_token")
    assert guarded.recorder.requests == guarded.recorder.reports == []
    assert guarded.recorder.stops == 0


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    if text.strip() in (f"Bearer {TOKEN}", f"Bearer {READ_TOKEN}"):
        return
    for authorization in (text, f"Bearer {text}"):
        if authorization.partition(" ")[2].strip() in (TOKEN, READ_TOKEN):
            continue
        with pytest.raises(AgentError, match=r"Authorization: Bearer"):
            WITH_TOKENS.check("GET", authorization)


async def in_mode(recorder: FakeRecorder, mode: str) -> TrioClient:
    client = create_app(recorder, HttpSettings(access=MODES[mode])).test_client()
    assert isinstance(client, TrioClient)
    return client


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "rebound.example"}, "forbidden_host"),
        ({"Origin": "http://evil.example"}, "forbidden_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "forbidden_origin"),
    ],
)
async def test_foreign_pages_are_refused_in_every_mode(
    recorder: FakeRecorder, mode: str, headers: dict[str, str], code: str
) -> None:
    client = await in_mode(recorder, mode)
    answer = await client.post("/start", headers={**bearer(TOKEN), **headers})
    assert (answer.status_code, (await answer.get_json())["error"]) == (403, code)
    assert recorder.requests == []


@pytest.mark.parametrize("mode", MODES)
async def test_the_status_says_who_may_use_it(recorder: FakeRecorder, mode: str) -> None:
    client = await in_mode(recorder, mode)
    answer = await client.get("/status", headers=bearer(TOKEN))
    assert (await answer.get_json())["access"] == {"mode": mode, "tls": False}


def test_the_plain_client_works_on_every_address_where_everybody_is_let_in() -> None:
    with running_server(HttpSettings(access=MODES["insecure"]), host="0.0.0.0") as server:
        agent = f"http://{own_address()}:{server.port}"
        assert requests.post(f"{agent}/start", json={"impl": "python"}).status_code == 200
        assert requests.post(f"{agent}/stop").json()["available"] is True


def own_address() -> str:
    """Return an address of this machine, which is not loopback where it has another one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        return str(sock.getsockname()[0])


def test_over_a_unix_socket_the_kernel_says_who_asks_and_no_token_is_needed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "agent.sock")
        with (
            unix_listener(SocketFile(str(path), 0o600, None)) as unix,
            running_server(HttpSettings(access=WITH_TOKENS), unix=unix),
            socket.socket(socket.AF_UNIX) as client,
        ):
            client.connect(str(path))
            client.sendall(b"GET /status HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
