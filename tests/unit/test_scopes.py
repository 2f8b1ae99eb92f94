"""From a requested scope to the root of a process tree; what cannot be resolved is refused."""

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import ScopeError
from agent.streams.collect import cgroups
from agent.streams.collect.scopes import cgroup_at_stop
from agent.streams.shared import callers, layout, namespaces
from agent.streams.shared.messages import Address, DisarmAnswer, ScopeNumbers
from agent.streams.supervisor import cgroup_chain, identities, scopes
from agent.streams.supervisor.identities import Identify, Identity

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


def nobody(number: int) -> None:
    """Identify no process."""


def refusal(scope: ScopeNumbers, identify: Identify = nobody) -> str:
    with pytest.raises(ScopeError) as refused:
        scopes.root_of(scope, identify)
    assert refused.value.field == "scope"
    return refused.value.code


@linux
def test_the_client_is_the_process_that_holds_the_clients_end(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    client, _ = connection
    assert callers.pid_behind(*ends(client)) == os.getpid()


@linux
def test_an_address_as_a_dual_stack_listener_sees_it() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            host, own = client.getsockname()
            pid = callers.pid_behind((f"::ffff:{host}", own), ("::ffff:127.0.0.1", port))
    assert pid == os.getpid()


@linux
def test_the_eldest_of_all_that_share_a_connection_made_it(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    client, _ = connection
    sleeper = subprocess.Popen(["sleep", "60"], pass_fds=[client.fileno()])
    try:
        assert callers.pid_behind(*ends(client)) == os.getpid()
        # once the parent has closed it, only the child holds it
        local, remote = ends(client)
        client.close()
        assert callers.pid_behind(local, remote) == sleeper.pid
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
    nowhere = ScopeNumbers("caller", client=("127.0.0.1", 1), server=("127.0.0.1", 2))
    assert refusal(nowhere) == "caller_unknown"
    with pytest.raises(ScopeError, match="belongs to another user than an agent that does not run"):
        scopes.root_of(nowhere, nobody)


OURSELVES = os.getpid()
NOBODYS = 1 << 30
"""A number above the largest that Linux gives out."""


def identity(number: int, parent: int = 1, uid: int = 0) -> Identity:
    """Return a process of a namespace in which each is known by another number."""
    host = 1_000 + number
    return Identity(host, host, number, number, 1_000 + parent, 1, 0, 0, b"", uid)


def known(*processes: Identity) -> Identify:
    everybody = {found.local_tid: found for found in (identity(OURSELVES), *processes)}
    return everybody.get


def test_a_pid_is_the_process_that_the_kernel_says() -> None:
    found = identity(7)
    assert scopes.root_of(ScopeNumbers("pid", 7), known(found)) == found
    assert refusal(ScopeNumbers("pid", NOBODYS), known(found)) == "no_such_process"


def test_a_task_that_iterators_do_not_see_is_not_absent() -> None:
    """kill(2) finds processes of other users, and zombies, too."""
    assert refusal(ScopeNumbers("pid", os.getppid()), known()) == "process_not_shown"
    assert refusal(ScopeNumbers("pid", 1), known()) == "process_not_shown"


@pytest.mark.parametrize("pid", [1, OURSELVES, OURSELVES + 1], ids=["init", "ours", "a child"])
def test_of_another_users_process_nothing_else_is_said(pid: int) -> None:
    """Whether it is the agent's, or hidden from iterators, is not for the user who asks."""
    identify = known(identity(OURSELVES + 1, parent=OURSELVES))
    assert refusal(ScopeNumbers("pid", pid, owner=65_534), identify) == "forbidden_user"
    assert refusal(ScopeNumbers("pid", NOBODYS, owner=65_534), identify) == "no_such_process"


def test_a_user_may_not_measure_the_agent_that_is_his() -> None:
    identify = {OURSELVES: identity(OURSELVES, uid=7)}.get
    assert refusal(ScopeNumbers("pid", OURSELVES, owner=7), identify) == "scope_is_the_agent"


def test_a_root_that_has_ended_may_still_have_its_number() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert "a zombie" in scopes.ended(identity(process.pid)).message
    assert "ended before the run began" in scopes.ended(identity(process.pid)).message


def test_the_agents_own_processes_are_no_scope() -> None:
    """The supervisor does this check, and the agent is its child."""
    identify = known(identity(OURSELVES + 1, parent=OURSELVES), identity(OURSELVES + 2))
    for pid in (OURSELVES, OURSELVES + 1):
        assert refusal(ScopeNumbers("pid", pid), identify) == "scope_is_the_agent"
    assert scopes.root_of(ScopeNumbers("pid", OURSELVES + 2), identify) is not None


def test_the_system_and_a_cgroup_have_no_root() -> None:
    assert scopes.root_of(ScopeNumbers("system"), known()) is None
    assert scopes.root_of(ScopeNumbers("cgroup", cgroups=(1, 42)), known()) is None


@linux
def test_a_proc_of_another_namespace_is_not_searched(
    connection: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers mean others."""
    monkeypatch.setattr(callers, "why_proc_is_not_ours", lambda: namespaces.FOREIGN)
    client, server = ends(connection[0])
    assert refusal(ScopeNumbers("caller", client=client, server=server)) == "caller_unknown"


def test_the_clock_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closest of several readings decides, and 0 is exact where there is no namespace."""
    others = identities.CLOCK_SAMPLES - 2
    ours, ahead = iter([0, 900, 1_000, 1_010] + [2_000, 2_900] * others), 0

    def identify(number: int) -> Identity:
        return replace(identity(number), now_ns=readings.pop(0))

    monkeypatch.setattr(identities.time, "monotonic_ns", lambda: next(ours))
    readings = [ahead + 450, ahead + 1_005, *[ahead + 2_450] * others]
    assert identities.clock_offset(identify) == 0
    ours, ahead = iter([0, 900, 1_000, 1_010] + [2_000, 2_900] * others), -(10**14)
    readings = [ahead + 850, ahead + 1_005, *[ahead + 2_050] * others]
    assert identities.clock_offset(identify) == ahead


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
    folders = (hierarchy, hierarchy / "a", hierarchy / "a" / "b")
    assert cgroups.chain(path) == tuple(folder.stat().st_ino for folder in folders)
    assert cgroups.id_at(path) == folders[-1].stat().st_ino


def test_a_path_of_the_file_system_and_the_root(hierarchy: Path) -> None:
    assert cgroups.id_at(f"{hierarchy}/a") == (hierarchy / "a").stat().st_ino
    assert cgroups.chain("/") == (hierarchy.stat().st_ino,)


def test_a_cgroup_and_those_above_it_by_name(hierarchy: Path) -> None:
    hidden = hierarchy / "a" / ".b"
    hidden.mkdir()
    (hidden / "cgroup.procs").touch()
    assert cgroups.groups_at("/a/.b") == (2, "/a/.b", (hidden, hierarchy / "a", hierarchy))
    assert cgroups.groups_at("/") == (2, "/", (hierarchy,))
    assert cgroups.groups_at("/gone") == (2, "/gone", ())


@pytest.mark.parametrize(
    "path", ["/c", "/..", "/a/../../", "/a/b/cgroup.procs", "/a\0b", "/" + "x" * 300, "/x" * 2000]
)
def test_what_is_no_cgroup(hierarchy: Path, path: str) -> None:
    with pytest.raises(ScopeError) as refused:
        cgroups.chain(path)
    assert (refused.value.code, refused.value.field) == ("no_such_cgroup", "scope")


def test_the_end_of_a_long_path_is_kept(hierarchy: Path) -> None:
    below = hierarchy
    for _ in range(2 * layout.CGROUP_CHAIN):
        below = below / "a"
        below.mkdir(exist_ok=True)
        (below / "cgroup.procs").touch()
    ids = cgroups.chain(str(below))
    assert len(ids) == layout.CGROUP_CHAIN
    assert ids[-2:] == (below.parent.stat().st_ino, below.stat().st_ino)


def test_threads_outside_the_namespace_are_listed_as_0(hierarchy: Path) -> None:
    (hierarchy / "a" / "cgroup.threads").write_text("17\n")
    (hierarchy / "a" / "b" / "cgroup.threads").write_text("10\n")
    assert not cgroups.has_strangers("/a")
    (hierarchy / "a" / "b" / "cgroup.threads").write_text("10\n0\n")
    assert cgroups.has_strangers("/a")
    assert not cgroups.has_strangers("/gone")


def test_the_ids_that_a_cgroup_had() -> None:
    table = cgroup_chain.packed((1, 2, 3))
    assert cgroup_chain.ids_of(table) == (3,)
    assert cgroup_chain.ids_of(cgroup_chain.packed(())) == ()


def test_a_cgroup_that_was_not_followed_is_reported() -> None:
    answer = DisarmAnswer(1, cgroups=(3, 4))
    assert cgroup_at_stop("/a", answer, 4) == ({"cgroup_removed": False, "cgroup_ids": [3, 4]}, ())
    assert cgroup_at_stop("/a", answer, None)[0]["cgroup_removed"]
    _, [gap] = cgroup_at_stop("/a", answer, 5)
    assert "id 5" in gap
    # without the supervisor, nothing is known about what was measured
    assert cgroup_at_stop("/a", DisarmAnswer(1), 5) == ({"cgroup_removed": False}, ())


def test_where_it_is_mounted_may_have_a_space_in_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "of v2").mkdir()
    mounts = f"x\n\ncgroup2 {tmp_path}/of\\040v2 cgroup2 rw 0 0\n"
    monkeypatch.setattr(Path, "read_bytes", lambda self: mounts.encode())
    assert cgroups._mount_point() == tmp_path / "of v2"


def test_without_a_hierarchy_the_scope_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\nproc /proc proc rw 0 0\n"
    monkeypatch.setattr(Path, "read_bytes", lambda self: mounts.encode())
    with pytest.raises(ScopeError) as refused:
        cgroups.chain("/a")
    assert (refused.value.code, refused.value.field) == ("no_cgroup_v2", "scope")
    assert "pid" in refused.value.message
