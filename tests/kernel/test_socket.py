"""The real agent on a Unix socket: who is at the other end, and whose process a pid is."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.processes import launched
from fakes.real_agent import running
from fakes.users import OTHER, SOMEBODY, as_reading_user, as_root, as_user, ask, start, stop
from fakes.waiting import eventually

from agent.client.interpreter import own_module

pytestmark = as_root


@contextmanager
def open_folder() -> Iterator[Path]:
    """Yield the path of a socket that every user may reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "agent.sock"


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    """The socket of an agent that every user may use."""
    with open_folder() as path, running(["--socket", str(path), "--socket-mode", "0666"]):
        yield path


@contextmanager
def sleeper(*before: str) -> Iterator[int]:
    with subprocess.Popen([*before, "sleep", "600"]) as process:
        eventually(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        yield process.pid
        process.kill()


def test_a_user_measures_his_own_processes_and_no_others(path: Path) -> None:
    with sleeper(*as_user(SOMEBODY)) as own:
        status, started = start(path, {"pid": own}, as_user(SOMEBODY))
        assert (status, started["scope"]["pid"]) == (200, own)
        assert stop(path, as_user(SOMEBODY))[1]["scope"]["pid"] == own
        status, answer = start(path, {"pid": own}, as_user(OTHER))
        assert (status, answer["error"], answer["field"]) == (403, "forbidden_user", "scope")
        assert f"process {own} does not belong to uid {OTHER}" in answer["message"]
        assert start(path, {"pid": own})[0] == 200, "root may"
        assert stop(path)[0] == 200
    assert start(path, {"pid": os.getpid()}, as_user(SOMEBODY))[0] == 403
    status, answer = start(path, {"pid": 1}, as_user(SOMEBODY))
    assert (status, answer["error"]) == (403, "forbidden_user"), "hidden from iterators or not"


@pytest.mark.parametrize("ids", [(SOMEBODY, SOMEBODY, 0), (SOMEBODY, 0, 0), (0, SOMEBODY, 0)])
def test_a_process_that_acts_for_another_user_too_is_not_his_own(
    path: Path, ids: tuple[int, int, int]
) -> None:
    """As a setuid program does, such as sudo before it becomes root for good."""
    script = f"import os, time; os.setresuid{ids}; print(flush=True); time.sleep(600)"
    command = [sys.executable, "-ISc", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert start(path, {"pid": process.pid}, as_user(SOMEBODY))[0] == 403
        process.kill()


def test_the_caller_is_who_the_kernel_says(path: Path) -> None:
    body = '{"scope": "caller"}'
    script = f"echo $$; read go; exec curl -sS --unix-socket $0 -d '{body}' http://x/start"
    with subprocess.Popen(
        [*as_user(SOMEBODY), "sh", "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as caller:
        said, _ = caller.communicate("go\n")
    pid, _, answer = said.partition("\n")
    assert json.loads(answer)["scope"]["pid"] == int(pid) == caller.pid
    assert stop(path, as_user(SOMEBODY))[1]["scope"]["command"] == "curl"


def test_a_caller_in_a_container_is_known_by_its_number_here(path: Path) -> None:
    """Its own number, 1 or 2, would be another process's."""
    container = ["unshare", "--pid", "--fork", "--mount-proc", "--"]
    status, started = start(path, "caller", container)
    assert status == 200
    assert started["scope"]["command"] == "curl"
    assert started["scope"]["pid"] > 2
    assert stop(path)[0] == 200


def test_run_as_an_ordinary_user(path: Path) -> None:
    line = own_module("agent", "run", "--agent", f"unix:{path}", "--", "true").command
    command = [*as_reading_user(SOMEBODY), *line]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"^Verdict: ", done.stderr, re.MULTILINE), done.stderr


def test_a_run_of_a_user_who_was_killed_ends_with_its_tree(path: Path) -> None:
    with sleeper(*as_user(SOMEBODY)) as own:
        run_id = start(path, {"pid": own}, as_user(SOMEBODY))[1]["run_id"]
    eventually(lambda: ask(path, "/status")[1]["state"] == "idle")
    assert stop(path, as_user(OTHER))[0] == 403
    assert stop(path, as_user(SOMEBODY))[1]["run_id"] == run_id


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.thorough)]
)
def test_the_file_is_gone_with_the_agent_or_replaced_by_the_next(
    tmp_path: Path, number: signal.Signals
) -> None:
    with open_folder() as path:
        with launched(tmp_path / "log", "--socket", str(path)) as agent:
            assert f"listening on unix:{path}\n" in agent.log
            for pid in (agent.supervisor, agent.pid) if number == signal.SIGKILL else [agent.pid]:
                os.kill(pid, number)
            agent.exit_status()
        assert path.exists() == (number == signal.SIGKILL)
        with launched(tmp_path / "log", "--socket", str(path)):
            assert ask(path, "/status")[0] == 200
        assert not path.exists()


def test_a_socket_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.touch()
    command = own_module("agent", "--port", "0", "--socket", str(path)).command
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"chainbench-agent: cannot listen on {path}: a file that is no socket is there; "
        "remove it, or choose another\n"
    )
