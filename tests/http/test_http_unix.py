"""The API over a Unix socket: the same routes, for each user what is that user's.

Clients are real processes of real users; what they may have is decided by the server and by the
recorder. Whose process a pid is, the kernel tells the supervisor: tests/kernel/test_socket.py.
"""

import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from fakes import users
from fakes.collector import FakeCollector
from fakes.http_server import running_server
from fakes.raw_http import read_to_end, status_and_error
from fakes.users import OTHER, SOMEBODY, as_root

from agent.aggregate.series import SeriesStore
from agent.client.http_client import AgentClient, AgentRefused
from agent.http.unix_listener import unix_listener
from agent.recording.recorder import Recorder
from agent.settings import SocketFile

pytestmark = as_root


@asynccontextmanager
async def real_recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder(FakeCollector(), "machine", SeriesStore())
    async with trio.open_nursery() as nursery:
        await nursery.start(recorder.run)
        yield recorder
        nursery.cancel_scope.cancel()


@dataclass
class Socket:
    path: Path

    def ask(self, uid: int, route: str, *options: str) -> tuple[int, Any]:
        return users.ask(self.path, route, *options, before=users.as_user(uid))

    def start(self, uid: int, scope: object = "caller") -> tuple[int, Any]:
        return users.start(self.path, scope, users.as_user(uid))

    def stop(self, uid: int) -> tuple[int, Any]:
        return users.stop(self.path, users.as_user(uid))


@pytest.fixture
def served(tool: Callable[[str], str]) -> Iterator[Socket]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "agent.sock"
        tool("setpriv"), tool("curl")
        with (
            unix_listener(SocketFile(str(path), 0o666, None)) as unix,
            running_server(open_recorder=real_recorder, unix=unix),
        ):
            yield Socket(path)


def test_a_user_has_a_run_of_his_own_from_start_to_evidence(served: Socket) -> None:
    status, started = served.start(SOMEBODY)
    assert status == 200
    assert started["scope"] == {"kind": "caller"}
    for uid in (SOMEBODY, OTHER):
        assert served.ask(uid, "/status")[1]["run_id"] == started["run_id"]
    status, evidence = served.stop(SOMEBODY)
    assert (status, evidence["run_id"]) == (200, started["run_id"])
    assert served.ask(SOMEBODY, "/evidence") == (200, evidence)
    assert served.ask(SOMEBODY, f"/evidence/{started['run_id']}") == (200, evidence)


def test_the_evidence_of_others_is_not_for_him(served: Socket) -> None:
    run_id = served.start(SOMEBODY)[1]["run_id"]
    assert refused(served.stop(OTHER)) == (403, "forbidden_user")
    assert served.ask(OTHER, "/status")[1]["run_id"] == run_id, "it goes on"
    served.stop(SOMEBODY)
    assert refused(served.ask(OTHER, f"/evidence/{run_id}")) == (403, "forbidden_user")
    assert refused(served.ask(OTHER, "/evidence")) == (404, "no_such_run")
    assert refused(served.ask(OTHER, "/evidence/no-such")) == (404, "no_such_run")
    assert refused(served.ask(OTHER, "/metrics")) == (403, "forbidden_user")
    own = served.start(OTHER)[1]["run_id"]
    served.stop(OTHER)
    served.start(SOMEBODY)
    served.stop(SOMEBODY)
    assert served.ask(OTHER, "/evidence")[1]["run_id"] == own


def test_a_stop_that_names_its_run_ends_no_other(served: Socket) -> None:
    run_id = served.start(SOMEBODY)[1]["run_id"]
    named = "-d", json.dumps({"run_id": run_id})
    assert refused(served.ask(OTHER, "/stop", *named)) == (403, "forbidden_user")
    status, evidence = served.ask(SOMEBODY, "/stop", *named)
    assert (status, evidence["run_id"]) == (200, run_id)
    theirs = served.start(OTHER)[1]["run_id"]
    assert served.ask(SOMEBODY, "/stop", *named) == (200, evidence)
    assert refused(served.ask(OTHER, "/stop", *named)) == (403, "forbidden_user")
    unknown = "-d", '{"run_id": "no-such"}'
    assert refused(served.ask(SOMEBODY, "/stop", *unknown)) == (404, "no_such_run")
    assert served.ask(OTHER, "/status")[1]["run_id"] == theirs
    served.stop(OTHER)


def test_who_may_not_end_a_run_is_not_told_to(served: Socket) -> None:
    served.start(SOMEBODY)
    for uid in (SOMEBODY, 0):
        status, answer = served.start(uid)
        assert (status, answer["error"]) == (409, "run_in_progress")
        assert answer["message"].endswith(": POST /stop first")
    status, answer = served.start(OTHER)
    assert (status, answer["error"]) == (409, "run_in_progress")
    assert answer["message"].endswith(": it is for its user, or root, to end it")
    served.stop(SOMEBODY)


def refused(answer: tuple[int, Any]) -> tuple[int, str]:
    status, body = answer
    assert body["message"]
    return status, body["error"]


@pytest.mark.parametrize("scope", ["system", {"cgroup": "/"}, None])
def test_what_has_processes_of_others_is_for_root(served: Socket, scope: object) -> None:
    status, answer = served.start(SOMEBODY, scope)
    assert (status, answer["error"], answer["field"]) == (403, "forbidden_user", "scope")
    assert "as root" in answer["message"]
    status, _ = served.start(0, scope)
    assert status == 200
    assert refused(served.stop(SOMEBODY)) == (403, "forbidden_user")
    assert served.stop(0)[0] == 200


def test_root_has_everything(served: Socket) -> None:
    run_id = served.start(SOMEBODY)[1]["run_id"]
    assert served.stop(0)[1]["run_id"] == run_id
    assert served.ask(0, f"/evidence/{run_id}")[0] == 200
    assert served.ask(0, "/metrics")[0] == 200


def test_a_host_means_nothing_there_but_an_origin_does(served: Socket) -> None:
    assert served.ask(SOMEBODY, "/status", "-H", "Host: rebound.example")[0] == 200
    answer = served.ask(SOMEBODY, "/status", "-H", "Origin: http://evil.example")
    assert refused(answer) == (403, "forbidden_origin")


def test_bytes_that_are_no_http_get_an_answer(served: Socket) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(served.path))
        client.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert status_and_error(read_to_end(client)) == (400, "bad_request")


def test_our_own_client(served: Socket) -> None:
    client = AgentClient(f"unix:{served.path}")
    run_id = client.post("/start", {})["run_id"]
    with pytest.raises(AgentRefused, match="run_in_progress"):
        client.post("/start", {})
    assert client.post("/stop")["run_id"] == run_id
    with client.connection() as connection:
        assert [json.loads(connection.send("GET", "/status"))["state"] for _ in range(3)] == [
            "idle"
        ] * 3
