"""Programs that an agent of root's compiled serve the agents after it, as if compiled by these."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes.mounts import mounting
from fakes.own_network import in_own_network
from fakes.processes import Bpftool, Launched, held, launched
from fakes.run_command import finished, line

from agent.sections.probes import DEFAULT_SECTIONS
from agent.streams.supervisor.compilation import interpreters

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's programs are kept")

OTHER_FDS = "exec 3</dev/null 4</dev/null 5</dev/null"
"""Has maps get other descriptors than in an agent that starts without these."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that agents have in place of /run."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    return folder


def kept_in(folder: Path, *more: str) -> list[str]:
    """Return a command that runs an agent with this folder, after scripts.

    It sees no disks: one without requests, which another test adds, has more compiled.
    """
    mounts = (f"mount --bind {folder} /run", "mount -t tmpfs none /sys/block")
    return mounting("; ".join([*mounts, *more]))


def kept(folder: Path) -> dict[str, int]:
    """Return the names of what is kept, and which file each is."""
    found = folder / "chainbench-agent" / "programs"
    return {path.name: path.stat().st_ino for path in found.iterdir()}


def without_bcc() -> str:
    """Return a script that has no interpreter import bcc, although it finds it as before."""
    look = "import bcc.libbcc; print(bcc.libbcc.__file__)"
    found = [
        subprocess.run([python, "-I", "-c", look], capture_output=True, text=True, check=False)
        for python in interpreters()
    ]
    files = [done.stdout.strip() for done in found if done.returncode == 0]
    assert files
    return "; ".join(f"mount --bind /dev/null {file}" for file in files)


def measured(agent: Launched, bpftool: Bpftool) -> tuple[dict[str, list[str]], Any]:
    """Return the tags of all programs after two runs, and the second run's evidence."""
    with agent.run():
        pass
    with agent.run(scope={"pid": os.getpid()}, details=["syscalls"]) as run:
        pass
    assert run.started["armed"] == list(DEFAULT_SECTIONS)
    return bpftool.tags(held(agent.supervisor, "prog")), run.evidence


@pytest.mark.thorough
def test_the_next_agent_loads_the_same_without_bcc(
    tmp_path: Path, folder: Path, bpftool: Bpftool
) -> None:
    with launched(tmp_path / "1", before=kept_in(folder)) as agent:
        compiled, first = measured(agent, bpftool)
    written = kept(folder)
    assert len(written) == 2
    with launched(tmp_path / "2", before=kept_in(folder, without_bcc(), OTHER_FDS)) as agent:
        found, second = measured(agent, bpftool)
    assert found == compiled
    assert second["manifest"]["versions"]["bcc"] == first["manifest"]["versions"]["bcc"]
    assert second["runqlat"]["count"] > 0
    assert kept(folder) == written


@pytest.mark.thorough
def test_what_nobody_compiled_still_needs_bcc(tmp_path: Path, folder: Path) -> None:
    """So the test above does take it away."""
    with launched(tmp_path / "log", before=kept_in(folder, without_bcc())) as agent:
        agent.settle()
        assert agent.status()["ebpf"]["code"] == "no_bcc"


@pytest.mark.thorough
def test_a_second_run_with_an_agent_of_its_own_compiles_nothing(
    tmp_path: Path, folder: Path
) -> None:
    for number, more in enumerate(["true", without_bcc()]):
        file = tmp_path / f"{number}.json"
        command = in_own_network(line("run", "--json", file, "--", "true"))
        done = finished([*kept_in(folder, more), *command])
        assert done.returncode == 0, done.stderr
        assert json.loads(file.read_text())["available"]


@pytest.mark.thorough
@pytest.mark.parametrize("content", [b"", b"garbage", None], ids=["empty", "garbage", "truncated"])
def test_what_is_damaged_is_compiled_again(
    tmp_path: Path, folder: Path, bpftool: Bpftool, content: bytes | None
) -> None:
    with launched(tmp_path / "1", before=kept_in(folder)) as agent:
        compiled, _ = measured(agent, bpftool)
    paths = list((folder / "chainbench-agent" / "programs").iterdir())
    whole = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.write_bytes(whole[path][:-100] if content is None else content)
    with launched(tmp_path / "2", before=kept_in(folder)) as agent:
        assert measured(agent, bpftool)[0] == compiled
    assert {path: path.read_bytes() for path in paths} == whole


@pytest.mark.thorough
@pytest.mark.parametrize(
    "script",
    [
        "mount -t tmpfs -o size=16k,mode=755 none /run",
        "mount -t tmpfs -o mode=777 none /run",
        "mount -t tmpfs -o mode=755 none /run; mount -o remount,ro /run",
        "mount -t tmpfs -o mode=755 none /run; ln -s /tmp /run/chainbench-agent",
        "mount -t tmpfs -o mode=755 none /run; touch /run/chainbench-agent",
        "mount -t tmpfs -o mode=755,uid=65534 none /run",
    ],
    ids=["full", "writable by others", "read-only", "a symbolic link", "a file", "another owner"],
)
def test_where_nothing_can_be_kept_it_compiles(tmp_path: Path, script: str) -> None:
    with launched(tmp_path / "log", before=mounting(script)) as agent:
        with agent.run():
            pass
        inside = Path(f"/proc/{agent.supervisor}/root/run")
        assert not [path for path in inside.rglob("*") if path.is_file() and path.stat().st_size]
        assert agent.log == f"listening on {agent.url}\n"


@pytest.mark.thorough
def test_two_agents_that_start_at_once_both_work(
    tmp_path: Path, folder: Path, bpftool: Bpftool
) -> None:
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        agents = [
            stack.enter_context(launched(tmp_path / f"{n}", before=kept_in(folder)))
            for n in range(2)
        ]
        first, second = pool.map(lambda agent: measured(agent, bpftool)[0], agents)
        assert first == second
    assert len(kept(folder)) == 2
