"""From a requested scope to the root of a process tree; what cannot be resolved is refused."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import ScopeError
from agent.streams.collect import cgroups
from agent.streams.shared.messages import Address, ScopeNumbers
from agent.streams.supervisor import scopes

linux = pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="no /proc/net/tcp on this machine"
)

LOCAL = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def connection(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection over the loopback interface: the client's and the server's."""
    with socket.socket(request.param) as listener:
        try:
            listener.bind((LOCAL[request.param], 0))
        except OSError as error:
            pytest.skip(f"{LOCAL[request.param]}: {error.strerror}")
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as client:
            server, _ = listener.accept()
            with server:
                yield client, server


def ends(client: socket.socket) -> tuple[Address, Address]:
    return client.getsockname()[:2], client.getpeername()[:2]


def refusal(scope: ScopeNumbers) -> str:
    with pytest.raises(ScopeError) as refused:
        scopes.root_of(scope)
    assert refused.value.field == "scope"
    return refused.value.code


@linux
def test_the_client_is_who_holds_the_clients_end(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    client, _ = connection
    assert scopes.pid_behind(*ends(client)) == os.getpid()


@linux
def test_an_address_as_a_dual_stack_listener_sees_it() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            host, own = client.getsockname()
            pid = scopes.pid_behind((f"::ffff:{host}", own), ("::ffff:127.0.0.1", port))
    assert pid == os.getpid()


@linux
def test_of_all_that_share_a_connection_the_eldest_made_it(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    client, _ = connection
    sleeper = subprocess.Popen(["sleep", "60"], pass_fds=[client.fileno()])
    try:
        assert scopes.pid_behind(*ends(client)) == os.getpid()
        # once the parent has closed it, only the child holds it
        local, remote = ends(client)
        client.close()
        assert scopes.pid_behind(local, remote) == sleeper.pid
    finally:
        sleeper.kill()
        sleeper.wait()


@linux
def test_a_connection_that_nobody_holds(connection: tuple[socket.socket, socket.socket]) -> None:
    client, _ = connection
    local, remote = ends(client)
    client.close()
    assert refusal(ScopeNumbers("caller", client=local, server=remote)) == "caller_unknown"


@linux
def test_a_connection_that_is_not_there() -> None:
    nobody = ScopeNumbers("caller", client=("127.0.0.1", 1), server=("127.0.0.1", 2))
    assert refusal(nobody) == "caller_unknown"


@linux
def test_a_pid() -> None:
    assert scopes.root_of(ScopeNumbers("pid", os.getppid())) == (os.getppid(), 0)
    assert refusal(ScopeNumbers("pid", 2**22)) == "no_such_process"


@linux
def test_the_agents_own_processes_are_no_scope() -> None:
    """The supervisor does this check, and the agent is its child."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        for pid in (os.getpid(), child.pid):
            assert refusal(ScopeNumbers("pid", pid)) == "scope_is_the_agent"
    finally:
        child.kill()
        child.wait()


def test_the_system_is_all_but_this_tree() -> None:
    assert scopes.root_of(ScopeNumbers("system")) == (os.getpid(), 0)


def test_a_cgroup_is_a_number() -> None:
    assert scopes.root_of(ScopeNumbers("cgroup", cgroup_id=42)) == (0, 42)


# --- cgroups


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a mounted hierarchy with a cgroup /a/b."""
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a" / "b"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").touch()
    monkeypatch.setattr(cgroups, "_mount_point", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", ["/a/b", "/a/b/", "/a/./b", "/a/c/../b"])
def test_a_path_below_the_root_of_the_hierarchy(hierarchy: Path, path: str) -> None:
    assert cgroups.cgroup_id(path) == (hierarchy / "a" / "b").stat().st_ino


def test_a_path_of_the_file_system_and_the_root(hierarchy: Path) -> None:
    assert cgroups.cgroup_id(f"{hierarchy}/a") == (hierarchy / "a").stat().st_ino
    assert cgroups.cgroup_id("/") == hierarchy.stat().st_ino


@pytest.mark.parametrize("path", ["/c", "/..", "/a/../../", "/a/b/cgroup.procs", "/a\0b"])
def test_what_is_no_cgroup(hierarchy: Path, path: str) -> None:
    with pytest.raises(ScopeError) as refused:
        cgroups.cgroup_id(path)
    assert (refused.value.code, refused.value.field) == ("no_such_cgroup", "scope")


def test_without_a_hierarchy_that_is_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\nproc /proc proc rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda self: mounts)
    with pytest.raises(ScopeError) as refused:
        cgroups.cgroup_id("/a")
    assert (refused.value.code, refused.value.field) == ("no_cgroup_v2", "scope")
    assert "pid" in refused.value.message
