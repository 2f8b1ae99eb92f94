"""``doctor``: whether the service could start with these settings."""

import errno
import os
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import Request, serving
from fakes.certificates import EXPIRED, issued
from fakes.run_agent import RunAgent
from fakes.tls_agent import tls_agent

from agent.doctor import service
from agent.doctor.as_user import as_user
from agent.doctor.finding import Finding, State, ok
from agent.settings import Settings, SocketFile

IS_ROOT = os.getuid() == 0


def of_service(**settings: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in service.service(Settings(**settings))}


def test_a_user_that_others_may_have_where_no_process_is_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "uid_to_become", lambda settings: os.getuid())
    monkeypatch.setattr(service, "as_user", lambda uid, question: "")
    monkeypatch.setattr(service, "why_proc_lacks_us", lambda: "")
    assert of_service(port=0)["user"].text.endswith("which nobody uses")
    monkeypatch.setattr(service, "why_proc_lacks_us", lambda: "a reason")
    found = of_service(port=0)["user"]
    assert found.state is State.WARNING
    assert "others may use: a reason" in found.text


def test_a_port_that_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert of_service(port=port)["port"] == ok("port", f"127.0.0.1:{port} is free")


def test_a_port_that_another_service_has() -> None:
    class Other(RunAgent):
        def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
            return 200, {"other": "service"}

    with serving(Other()) as other:
        port = int(other.url.rpartition(":")[2])
        found = of_service(port=port)["port"]
    assert found.state is State.FAILED
    assert "Address already in use. Choose another with --port" in found.text
    assert f"ss -ltnp sport = :{port}" in found.text


def test_a_port_that_an_agent_has() -> None:
    with serving(RunAgent()) as agent:
        port = int(agent.url.rpartition(":")[2])
        expected = ok("port", f"an agent listens on 127.0.0.1:{port} already")
        assert of_service(port=port)["port"] == expected


class WithToken(RunAgent):
    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        assert request.authorization is None
        return 401, {"error": "unauthorized", "message": "this agent requires a token"}


def test_a_port_that_an_agent_with_a_token_has() -> None:
    """It is known by its refusal: whoever has the port is shown no token."""
    with serving(WithToken()) as agent:
        port = int(agent.url.rpartition(":")[2])
        assert of_service(port=port)["port"].state is State.OK


def test_a_port_that_an_agent_with_tls_has(tmp_path: Path) -> None:
    files = issued(tmp_path / "tls", "bench.example")
    with tls_agent(tmp_path / "log", files, "--mock") as agent:
        port = int(agent.url.rpartition(":")[2])
        found = of_service(port=port, tls_files=files.both)
    assert found["port"] == ok("port", f"an agent listens on 127.0.0.1:{port} already")
    assert found["tls"].state is State.OK


@pytest.mark.parametrize("wanted", [True, False])
def test_a_port_of_an_agent_that_is_to_get_tls_or_to_lose_it(tmp_path: Path, wanted: bool) -> None:
    """The options are those of the agent that is about to take its place."""
    files = issued(tmp_path / "tls")
    with serving(RunAgent()) if wanted else tls_agent(tmp_path / "log", files, "--mock") as agent:
        port = int(agent.url.rpartition(":")[2])
        found = of_service(port=port, tls_files=files.both if wanted else None)
    assert found["port"] == ok("port", f"an agent listens on 127.0.0.1:{port} already")


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EADDRNOTAVAIL, "--host takes an address of this machine"),
        (errno.EACCES, "Choose another with --port: this one needs CAP_NET_BIND_SERVICE"),
    ],
)
def test_a_port_that_nobody_has(monkeypatch: pytest.MonkeyPatch, number: int, cure: str) -> None:
    def refused(host: str, port: int) -> None:
        raise OSError(number, os.strerror(number))

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(service, "open_listener", refused)
    found = of_service(port=port)["port"]
    assert found.state is State.FAILED
    assert found.text.startswith(f"{os.strerror(number)}. {cure}")
    assert "`ss" not in found.text


def test_files_that_tls_cannot_be_served_with(tmp_path: Path) -> None:
    files, others = issued(tmp_path / "a"), issued(tmp_path / "b")
    found = of_service(port=0, tls_files=(str(files.certificate), str(others.key)))["tls"]
    assert found.state is State.FAILED
    assert "the key is not that of the certificate" in found.text
    missing = of_service(port=0, tls_files=(str(tmp_path / "none"), str(files.key)))["tls"]
    assert "none: No such file" in missing.text


def test_files_that_clients_or_strangers_would_make_something_of(tmp_path: Path) -> None:
    files = issued(tmp_path / "tls", until=EXPIRED)
    expired = of_service(port=0, tls_files=files.both)["tls"]
    assert expired.state is State.WARNING, "it is served"
    assert "the certificate has expired: clients refuse it" in expired.text
    files.key.chmod(0o644)
    both = [
        finding.text
        for finding in service.service(Settings(port=0, tls_files=files.both))
        if finding.check == "tls"
    ]
    assert len(both) == 2
    assert f"{files.key}: everybody may read or write the key's file" in both[1]


def written_token(path: Path, mode: int) -> str:
    path.write_text("0123456789abcdef")
    path.chmod(mode)
    return str(path)


def test_an_address_that_strangers_could_reach_needs_a_token(tmp_path: Path) -> None:
    found = of_service(host="0.0.0.0", port=0)
    assert found["port"].state is State.OK
    assert found["tokens"].state is State.FAILED
    assert "--token-file" in found["tokens"].text
    token = written_token(tmp_path / "token", 0o600)
    assert of_service(host="0.0.0.0", port=0, token_file=token)["tokens"].state is State.OK
    both = of_service(port=0, token_file=token, insecure=True)["tokens"]
    assert "leave out one of the two" in both.text
    assert "tokens" not in of_service(port=0), "loopback needs none"


def test_whoever_has_the_port_tokens_are_looked_at(tmp_path: Path) -> None:
    """A service that runs is checked before it is restarted."""
    with serving(WithToken()) as agent:
        port = int(agent.url.rpartition(":")[2])
        token = written_token(tmp_path / "token", 0o644)
        found = of_service(port=port, token_file=token)
        assert found["port"].state is State.OK
        assert found["tokens"].state is State.FAILED
        assert f"chmod 600 {token}" in found["tokens"].text
        exposed = of_service(host="0.0.0.0", port=port)
        assert "already" in exposed["port"].text
        assert f"on 0.0.0.0 port {port} other machines could" in exposed["tokens"].text


def test_a_host_that_is_unknown_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    token = written_token(tmp_path / "token", 0o600)
    found = of_service(host="elsewhere", port=0, token_file=token)
    assert found["port"].state is State.FAILED
    assert "--port" not in found["port"].text
    assert found["tokens"].state is State.OK


def test_socket_and_folder_are_looked_at_if_they_are_named(tmp_path: Path) -> None:
    named = of_service(
        port=0,
        user=None if os.getuid() else "64321",
        socket=SocketFile(str(tmp_path / "no/such/s"), 0o660, None),
        data_dir=str(tmp_path / "no/such"),
    )
    assert named["socket"].state is named["data_dir"].state is State.FAILED
    assert {"socket", "data_dir"}.isdisjoint(of_service(port=0))


def test_a_user_that_is_missing_is_a_failure() -> None:
    assert of_service(port=0, user="no-such-user")["user"].state is State.FAILED


def test_a_user_that_this_one_cannot_become_is_a_failure() -> None:
    """Only root becomes other users, and `serve` of a user cannot even become that user itself."""

    def said(user: str) -> str:
        [found] = [f for f in service.service(Settings(port=0, user=user)) if f.check == "user"]
        return f"{found.state} {found.text}"

    somebody = os.getuid() or 64_321
    for user in (somebody, somebody + 1):
        text = as_user(somebody if IS_ROOT else None, partial(said, str(user)))
        assert text.startswith(f"failed cannot become uid {user}: setgroups: ")
        assert "CAP_SETGID and CAP_SETUID missing" in text
    if IS_ROOT:
        assert said(str(somebody)).startswith("ok ")
