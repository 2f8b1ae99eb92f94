"""Starting an agent and talking to it."""

import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from fakes.agent_server import FakeAgent, Request, ended, serving
from fakes.copied_package import Copy
from fakes.waiting import eventually

import agent as package
from agent.client import http_client, spawn
from agent.client.children import child
from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.client.interpreter import PACKAGE_FOLDER, Invocation, own_module
from agent.client.spawn import AgentDidNotStart, running_agent
from agent.demo import workload
from agent.model import EVIDENCE_FOLLOWS
from agent.overhead.workloads import PingPong


@pytest.fixture
def fake() -> Iterator[FakeAgent]:
    with serving(FakeAgent()) as fake:
        yield fake


# --- talking to it


def test_bodies_and_answers_are_json(fake: FakeAgent) -> None:
    client = AgentClient(fake.url + "/")
    assert client.post("/start", {"scenario": "ü"}) == {"status": "started"}
    assert client.post("/stop") == fake.evidence
    assert client.get("/status")["machine"]
    assert json.loads(client.send("GET", "/status")) == client.get("/status")
    start, stop, *_ = fake.requests
    assert (json.loads(start.body), start.content_type) == ({"scenario": "ü"}, "application/json")
    assert (stop.body, stop.content_type) == (b"", None)


def test_a_refusal_carries_what_the_agent_says() -> None:
    with serving(FakeAgent(refuse_start=True)) as fake, pytest.raises(AgentRefused) as refused:
        AgentClient(fake.url).post("/start", {})
    error = refused.value
    assert (error.status, error.code) == (409, "run_in_progress")
    assert error.message == "run r-1 is in progress"
    assert str(error) == "409 run_in_progress: run r-1 is in progress"


def test_one_connection_outlives_a_refusal() -> None:
    with (
        serving(FakeAgent(refuse_start=True)) as fake,
        AgentClient(fake.url).connection() as connection,
    ):
        with pytest.raises(AgentRefused):
            connection.send("POST", "/start", {})
        assert json.loads(connection.send("GET", "/status"))["machine"]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_is_asked(fake: FakeAgent, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert AgentClient(fake.url).get("/status")["machine"]


def test_an_agent_that_does_not_answer_is_unreachable() -> None:
    with ended() as gone, pytest.raises(AgentUnreachable) as unreachable:
        AgentClient(gone.url).get("/status")
    assert str(unreachable.value) == f"no answer from {gone.url}: Connection refused"


def test_an_answer_that_is_no_object_comes_from_no_agent() -> None:
    with (
        serving(FakeAgent(evidence=["not", "ours"])) as other,
        pytest.raises(AgentUnreachable, match="/stop did not answer with a JSON object"),
    ):
        AgentClient(other.url).post("/stop")


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:9090", "ftp://here:1", "https://", "http://"),
        *("http://here:x", "http://here:65536"),
        *("http://[::1", "http://::1:80", "http://a@here:1", "http://here:1?a", "http://he re"),
    ],
)
def test_what_is_no_url_of_an_agent_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not the URL"):
        AgentClient(url)


# --- starting it


def shell(script: str) -> Invocation:
    return Invocation(("sh", "-c", script, "agent"), os.environ)


LISTENS = 'echo warming; echo "listening on http://127.0.0.1:1"; exec sleep 60'


def test_it_is_there_once_it_says_where_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spawn, "EXIT_S", 0.1)
    with running_agent(invocation=shell(LISTENS)) as agent:
        assert agent.url == "http://127.0.0.1:1"
        assert Path(f"/proc/{agent.pid}").exists()
        assert agent.log.startswith("warming\n")
        with pytest.raises(AgentUnreachable, match=r"; the agent is still running: warming$"):
            agent.get("/status")
    assert agent.process.returncode is not None


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("echo; echo no luck; echo; exit 3", "exited with status 3: no luck"),
        ("exit 3", "exited with status 3"),
        ("kill -KILL $$", "was killed by SIGKILL"),
        ("printf '%600s\\n' '' | tr ' ' x", f"exited with status 0: {'x' * 499}…"),
        (f"echo 'stopped{EVIDENCE_FOLLOWS}{{}}'", "exited with status 0: stopped"),
    ],
)
def test_an_agent_that_has_ended_is_told_with_its_reason_in_a_line(
    monkeypatch: pytest.MonkeyPatch, end: str, told: str
) -> None:
    """It may still be about to exit when it does not answer any more."""
    monkeypatch.setattr(spawn, "EXIT_S", 60)
    ends = shell(f'echo "listening on http://127.0.0.1:1"; sleep 0.2; {end}')
    with running_agent(invocation=ends) as agent, pytest.raises(AgentUnreachable) as unreachable:
        agent.get("/status")
    refused = "no answer from http://127.0.0.1:1: Connection refused"
    assert str(unreachable.value) == f"{refused}; the agent {told}"


def test_evidence_that_an_agent_logged_as_it_ended_is_not_lost() -> None:
    """Of the run that is meant, among whatever else there is."""
    script = """
        echo "listening on http://127.0.0.1:1"
        echo 'agent: stopped; its evidence: {"run_id": "a", "figure": 1}'
        echo 'agent: stopped; its evidence: {"run_id": "b", "figure": 2}'
        echo 'agent: stopped; its evidence: {"run_id": "c", "fig'
        echo 'agent: stopped; its evidence: ["d"]'
        exec sleep 60"""
    with running_agent(invocation=shell(script)) as agent:
        eventually(lambda: '["d"]' in agent.log)
        assert agent.logged_evidence("b") == {"run_id": "b", "figure": 2}
        assert agent.logged_evidence("c") is None


def test_arguments_come_after_a_free_port(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running_agent(["--timing", "x"], invocation=shell(f'echo "$@"; {LISTENS}'), log=log):
        pass
    assert log.read_text().splitlines()[0] == "--port 0 --timing x"


def test_an_agent_that_ends_at_its_start_leaves_its_last_words() -> None:
    failing = shell("echo no such module >&2; exit 3")
    with (
        pytest.raises(AgentDidNotStart, match=r"status 3 before it listened: no such module$"),
        running_agent(invocation=failing),
    ):
        pass


def test_an_agent_that_never_listens_is_given_up_and_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    intact = spawn.wait_for_url

    def noting(process: "subprocess.Popen[bytes]", log: IO[bytes], timeout_s: float) -> str:
        started.append(process)
        return intact(process, log, timeout_s)

    monkeypatch.setattr(spawn, "wait_for_url", noting)
    with (
        pytest.raises(AgentDidNotStart, match=r"did not listen within 0\.2 s"),
        running_agent(invocation=shell("exec sleep 600"), timeout_s=0.2),
    ):
        pass
    [process] = started
    assert process.returncode is not None


def test_a_command_that_is_not_there() -> None:
    missing = Invocation(("/nonexistent/python",), {})
    with (
        pytest.raises(AgentDidNotStart, match="/nonexistent/python"),
        running_agent(invocation=missing),
    ):
        pass


def test_without_a_folder_for_the_log_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    with pytest.raises(AgentDidNotStart, match="No usable temporary"), running_agent():
        pass


# --- file descriptors


def fds() -> set[str]:
    return set(os.listdir("/dev/fd"))


@pytest.mark.thorough
def test_a_parent_of_many_children_does_not_grow() -> None:
    before = fds()
    for _ in range(20):
        with workload.part("compute", 0.0) as process:
            process.communicate()
        assert process.returncode == 0
    assert fds() == before


def test_a_child_that_could_not_be_started_leaves_nothing_open() -> None:
    before = fds()
    nothing = Invocation(("/no/such/command",), os.environ)
    with pytest.raises(FileNotFoundError), child(nothing):
        pass
    assert fds() == before


def test_a_child_of_a_parent_with_many_files_open() -> None:
    """The fd that it watches is above 1023, the last one that select() takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2_048), hard), hard))
    try:
        with contextlib.ExitStack() as stack:
            while stack.enter_context(open(os.devnull)).fileno() < 1_100:
                pass
            with workload.part("compute", 0.05) as process:
                output, _ = process.communicate()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert int(output) > 0


# --- no code from the working directory or the environment runs


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is written if any code from the working directory or the environment runs."""
    sprung, folder, home = tmp_path / "sprung", tmp_path / "hostile", tmp_path / "home"
    code = f"open({str(sprung)!r}, 'a').write(__file__ + chr(10))\n"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    users = home / f".local/lib/python{version}/site-packages"
    for name in ("agent/__init__.py", "agent/__main__.py", "agent/cli/__init__.py", "queue.py"):
        plant(folder / name, code)
    plant(folder / "sitecustomize.py", code)
    plant(folder / "startup.py", code)
    plant(users / "usercustomize.py", code)
    plant(users / "agent/__init__.py", code)
    monkeypatch.chdir(folder)
    variables = {
        "PYTHONPATH": folder,
        "PYTHONSTARTUP": folder / "startup.py",
        "PYTHONUSERBASE": home / ".local",
        "PYTHONHOME": folder,
        "PYTHONINSPECT": "1",
        "HOME": home,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return sprung


def plant(path: Path, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)


def test_the_trap_works(trap: Path) -> None:
    """Check the trap, without which the tests below would prove nothing."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    command = [sys.executable, "-m", "agent", "--help"]
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
    sprung = trap.read_text()
    assert all(name in sprung for name in ("agent/__main__.py", "sitecustomize.py"))


def test_an_agent_runs_nothing_else(trap: Path) -> None:
    with running_agent() as agent:
        assert agent.get("/status")["running"] is False
        environment = Path(f"/proc/{agent.pid}/environ").read_bytes()
    assert b"PYTHON" not in environment
    assert not trap.exists()


def test_a_part_of_the_demo_runs_nothing_else(trap: Path) -> None:
    with workload.part("compute", 0.05) as process:
        output, _ = process.communicate()
    assert int(output) > 0
    assert not trap.exists()


def test_the_ping_pong_runs_nothing_else(trap: Path) -> None:
    assert PingPong(turns=10).run() > 0
    assert not trap.exists()


# --- the package is found however it was installed


def imported_by(invoked: Invocation) -> dict[str, str]:
    found = subprocess.check_output(invoked.command, env=dict(invoked.environment), text=True)
    return dict(line.split(" ", 1) for line in found.splitlines())


SHOW = """
import queue, numpy, agent, sys
print("queue", queue.__file__)
print("numpy", numpy.__file__)
print("agent", agent.__file__)
print("name", __name__)
print("arguments", *sys.argv[1:])
"""


def test_as_it_is_installed_here() -> None:
    shown = subprocess.run(
        own_module("agent", "--version").command, capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"chainbench-agent {package.__version__}\n"
    assert Path(package.__path__[0]).parent == PACKAGE_FOLDER


def test_in_a_folder_it_runs_from_there_with_what_is_installed(tmp_path: Path) -> None:
    """Run a copy as after ``pip install --target``, while another one is installed.

    A file next to the package must not hide a module of the standard library.
    """
    copy = Copy(tmp_path)
    plant(copy.folder / "agent/show_imports.py", SHOW)
    plant(copy.folder / "queue.py", "raise SystemExit('hidden')")
    shown = imported_by(own_module("agent.show_imports", "a", "--b", folder=copy.folder))
    assert shown["agent"] == str(copy.folder / "agent/__init__.py")
    assert Path(shown["queue"]).parent == Path(os.__file__).parent
    assert "site-packages" in shown["numpy"]
    assert (shown["name"], shown["arguments"]) == ("__main__", "a --b")


def test_a_package_only_on_pythonpath_starts_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(tmp_path)
    plant(copy.folder / "agent/show_imports.py", SHOW)
    code = (
        "from agent.client.interpreter import own_module; import subprocess;"
        "i = own_module('agent.show_imports', 'a'); subprocess.run(i.command, env=i.environment)"
    )
    monkeypatch.setenv("PYTHONPATH", str(copy.folder))
    shown = imported_by(Invocation((sys.executable, "-P", "-c", code), os.environ))
    assert shown["agent"] == str(copy.folder / "agent/__init__.py")


def test_an_agent_that_has_answered_without_tls_is_not_said_to_want_it() -> None:
    class Dies(FakeAgent):
        def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
            if self.requests:
                raise ConnectionResetError  # closes the connection
            return super().answer(request)

    with serving(Dies()) as agent:
        AgentClient(agent.url).get("/status")
        with pytest.raises(AgentUnreachable) as lost:
            AgentClient(agent.url).get("/status")
    assert "https" not in str(lost.value)


def test_one_that_has_never_answered_may_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "KNOWN_PLAIN", set())  # an earlier one may have had this port

    class Closes(FakeAgent):
        def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
            raise ConnectionResetError

    with serving(Closes()) as agent, pytest.raises(AgentUnreachable, match="URL of https://"):
        AgentClient(agent.url).get("/status")
