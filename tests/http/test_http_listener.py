"""Opening the listening socket, and the host names that the server takes as its own."""

import errno
import socket

import pytest
import requests
import trio
from fakes.recorder import FakeRecorder

from agent.http.app import create_app
from agent.http.listener import USER_TIMEOUT_MS, open_listener
from agent.http.server import serve
from agent.http.settings import HttpSettings, local_host_names


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_port_0_is_a_free_one(host: str) -> None:
    with open_listener(host, 0) as listener:
        assert listener.getsockname()[1] > 0
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_accepted_sockets_inherit_the_timeout() -> None:
    with open_listener("127.0.0.1", 0) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            timeout = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert timeout == USER_TIMEOUT_MS


def test_an_address_in_use_is_named() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}") as raised:
            open_listener("127.0.0.1", port)
    assert raised.value.errno == errno.EADDRINUSE


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(OSError, match=r"cannot listen on no-such-host\.invalid:80"):
        open_listener("no-such-host.invalid", 80)


def test_names_of_this_machine() -> None:
    names = local_host_names("Bench-7.lab.", extra=["other"])
    assert names == {"localhost", socket.gethostname().lower(), "bench-7.lab", "other"}


async def test_several_listeners_are_served_and_closed() -> None:
    listeners = [open_listener("127.0.0.1", 0) for _ in range(2)]
    shutdown = trio.Event()

    async with FakeRecorder.open() as recorder, trio.open_nursery() as nursery:
        app = create_app(recorder, HttpSettings())

        async def run(task_status: trio.TaskStatus[list[tuple[str, int]]]) -> None:
            await serve(
                app,
                listeners,
                HttpSettings(),
                shutdown_trigger=shutdown.wait,
                task_status=task_status,
            )

        addresses = await nursery.start(run)
        assert addresses == [listener.getsockname() for listener in listeners]
        for host, port in addresses:
            url = f"http://{host}:{port}/status"
            assert (await trio.to_thread.run_sync(requests.get, url)).status_code == 200
        shutdown.set()
    for _, port in addresses:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
