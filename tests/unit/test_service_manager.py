"""What a service manager is told, and the sockets that it passes: as systemd does both."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import requests
import trio
import trio.testing
from fakes.waiting import PATIENCE_SECONDS

from agent.client.http_client import AgentClient
from agent.client.interpreter import own_module
from agent.client.spawn import wait_for_url
from agent.http.listener import USER_TIMEOUT_MS, open_listener
from agent.processes.activation import inherited_listeners
from agent.processes.errors import CannotServe
from agent.processes.service_manager import ServiceManager

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS")


@pytest.fixture(autouse=True)
def not_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[tuple[str, socket.socket]]:
    """The address of a service manager's socket, as it is passed, and the socket."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        os.chmod(folder, 0o755)  # started as root, the agent is another user by then
        path, abstract = f"{folder}/notify", f"@chainbench-agent-test-{os.getpid()}"
        address = path if request.param == "path" else abstract
        sock.bind(address.replace("@", "\0", 1))
        if request.param == "path":
            os.chmod(path, 0o777)
        sock.settimeout(PATIENCE_SECONDS)
        yield address, sock


def test_assignments_arrive(
    manager: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, sock = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    ServiceManager.from_environment().tell("READY=1", "STATUS=serving")
    assert sock.recv(1000) == b"READY=1\nSTATUS=serving"


def test_without_one_nothing_is_told() -> None:
    ServiceManager.from_environment().tell("READY=1")


def test_one_that_is_gone_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    manager = ServiceManager("/no/such/socket", None)
    manager.tell("READY=1")
    manager.tell("STOPPING=1")
    [record] = caplog.records
    assert "service manager at /no/such/socket: No such file" in record.getMessage()


def test_an_address_that_is_too_long_is_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager("/" + "x" * 300, None).tell("READY=1")
    assert caplog.records[0].getMessage().endswith(": AF_UNIX path too long")


@pytest.mark.parametrize("meant", [None, os.getpid, os.getppid], ids=["any", "own", "parent"])
async def test_signs_of_life_come_twice_as_often_as_they_are_asked_for(
    manager: tuple[str, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
    meant: Callable[[], int] | None,
) -> None:
    address, sock = manager
    sock.settimeout(0)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    if meant is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(meant()))
    with trio.move_on_after(52):
        await ServiceManager.from_environment().show_life()
    assert [sock.recv(100) for _ in range(11)] == [b"WATCHDOG=1"] * 11
    with pytest.raises(BlockingIOError):
        sock.recv(100)


@pytest.mark.parametrize(
    ("every", "meant"),
    [
        ("1000000", "1"),
        ("0", None),
        ("x", None),
        *(pytest.param("9" * digits, None, id=f"{digits} digits") for digits in (400, 5000)),
    ],
)
async def test_none_come_where_none_are_asked_of_us(
    monkeypatch: pytest.MonkeyPatch, every: str, meant: str | None
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/no/such/socket")
    monkeypatch.setenv("WATCHDOG_USEC", every)
    if meant is not None:
        if os.getppid() == 1:
            pytest.skip("process 1 is this one's parent")
        monkeypatch.setenv("WATCHDOG_PID", meant)
    await ServiceManager.from_environment().show_life()


# --- sockets that it passes


STARTED = 'export LISTEN_PID=$$; exec "$@"'
NOT_PASSED = 'exec "$@"'


@contextlib.contextmanager
def agent(
    log: Path, *options: str, fds: tuple[int, ...] = (), variables: Mapping[str, str]
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Start a synthetic agent as a service manager does: ``fds`` follow the standard streams."""
    started = own_module("agent", "--mock", *options)
    moved = "".join(f"exec {3 + at}<&{fd}; " for at, fd in enumerate(fds))
    with log.open("w+b") as output:
        process = subprocess.Popen(
            ["bash", "-c", moved + (STARTED if fds else NOT_PASSED), "bash", *started.command],
            env={**started.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=fds,
        )
        try:
            yield process, wait_for_url(process, output, PATIENCE_SECONDS)
        finally:
            process.kill()
            process.wait()


def test_an_agent_says_when_it_serves_and_when_it_ends(
    manager: tuple[str, socket.socket], tmp_path: Path
) -> None:
    address, sock = manager
    variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"}
    with agent(tmp_path / "log", "--port", "0", variables=variables) as (process, _):
        said = [sock.recv(100)]
        while said.count(b"WATCHDOG=1") < 3 or b"READY=1" not in said:
            said.append(sock.recv(100))
        process.send_signal(signal.SIGTERM)
        while said[-1] != b"STOPPING=1":
            said.append(sock.recv(100))
        assert process.wait(PATIENCE_SECONDS) == 0
    assert said.count(b"READY=1") == said.count(b"STOPPING=1") == 1


def test_it_serves_on_the_sockets_that_were_passed_and_on_no_other(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with open_listener("127.0.0.1", 0) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        port = tcp.getsockname()[1]
        # high numbers, which bash can move to the low ones without overwriting another
        fds = tuple(fcntl.fcntl(sock, fcntl.F_DUPFD, 100) for sock in (tcp, unix))
        try:
            variables = {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
            options = ("--port", "1", "--socket", str(path))
            with agent(tmp_path / "log", *options, fds=fds, variables=variables) as (_, url):
                assert url == f"http://127.0.0.1:{port}"
                assert requests.get(f"{url}/status").json()["mock"] is True
                assert AgentClient(f"unix:{path}").get("/status")["mock"] is True
        finally:
            for fd in fds:
                os.close(fd)
    log = (tmp_path / "log").read_text()
    assert log.count("listening on") == 2


def test_what_was_passed_to_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert inherited_listeners() == []
    assert not {"LISTEN_PID", "LISTEN_FDS"} & os.environ.keys()


def test_a_count_of_zero_means_that_none_were_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "0")
    assert inherited_listeners() == []


@pytest.mark.parametrize("count", ["", "-1", "x", "65", "1_0", pytest.param("9" * 5000, id="long")])
def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    with pytest.raises(CannotServe, match="a number from 0 to 64"):
        inherited_listeners()


@pytest.mark.parametrize("kind", ["file", "datagrams", "connected"])
def test_what_does_not_listen_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    one, other = socket.socketpair()
    opened = {
        "file": (tmp_path / "x").open("w"),
        "datagrams": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "connected": one,
    }
    monkeypatch.setattr("agent.processes.activation.FIRST", os.dup(opened[kind].fileno()))
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    with pytest.raises(CannotServe, match=r"LISTEN_FDS (is no socket|does not listen)"):
        inherited_listeners()
    for each in (*opened.values(), other):
        each.close()


def test_accepted_sockets_inherit_the_timeout_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        monkeypatch.setattr("agent.processes.activation.FIRST", os.dup(sock.fileno()))
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        [listener] = inherited_listeners()
        with listener:
            assert listener.getblocking() is False
            timeout = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert timeout == USER_TIMEOUT_MS
