"""A signal while an agent takes long to begin or to end the run: the wait ends, the run later."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.agent_server import serving
from fakes.processes import waits_for_signal
from fakes.run_agent import RunAgent, no_end_answered, no_start_answered, state
from fakes.run_command import environment, line, ready
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.run import signals

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


def commands(agent: RunAgent, other: RunAgent, trace: Path) -> dict[str, list[str]]:
    run = ("run", "--no-store", "--quiet", "--agent", agent.url)
    touch = ("touch", trace)
    return {
        "run": line(*run, "--", *touch),
        "A/B": line(*run, "--baseline", f"touch {trace}", "--optimized", "true"),
        "fleet": line(*run, "--agent", other.url, "--", *touch),
        "record": line("record", "--agent", agent.url, "--system"),
    }


def may_stay_open(agent: RunAgent) -> str:
    return (
        "the agent had not answered the start: the run that it may begin is ended once it answers."
        f" Afterwards, if GET /status of {agent.url} names a run that nobody else has begun, "
        f"end it with: curl -X POST {agent.url}/stop"
    )


@pytest.mark.thorough(but="fleet-SIGTERM")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("how", ["run", "A/B", "fleet", "record"])
def test_it_ends_at_once_and_the_run_is_ended_when_it_has_begun(
    agent: RunAgent, tmp_path: Path, how: str, name: str
) -> None:
    number, trace = getattr(signal, name), tmp_path / "trace"
    with serving(RunAgent(machine="another")) as other:
        command = commands(agent, other, trace)[how]
        with (
            no_start_answered(agent),
            subprocess.Popen(
                command,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process,
        ):
            eventually(lambda: "POST /start" in agent.routes)
            process.send_signal(number)
            try:
                # nor is a pipe of its held open
                _, said = process.communicate(timeout=PATIENCE_SECONDS)
            finally:
                process.kill()  # a defect is not waited for
            assert process.returncode == -number
            assert not agent.run_id
            assert f"; {may_stay_open(agent)}\n" in said.decode()
        eventually(lambda: agent.routes[-1] == "POST /stop")
        assert not agent.run_id
        assert other.routes.count("POST /start") == other.routes.count("POST /stop")
    assert not trace.exists()


def test_a_signal_that_is_ignored_does_not_end_the_wait(agent: RunAgent) -> None:
    """As of nohup."""
    command = line("run", "--no-store", "--quiet", "--agent", agent.url, "--", "true")
    with contextlib.ExitStack() as held:
        held.enter_context(no_start_answered(agent))
        ignoring = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command]
        with subprocess.Popen(ignoring, env=environment()) as process:
            eventually(lambda: "POST /start" in agent.routes)
            process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            held.close()
            assert process.wait(PATIENCE_SECONDS) == 0


CONNECTS = """
import sys
from agent.client.http_client import AgentClient
from agent.run import signals
from agent.run.giving_up import start_or_give_up

try:
    with signals.interrupting():
        print("ready", flush=True)
        with signals.blocked():
            start_or_give_up(AgentClient(sys.argv[1]), {})
except signals.Interrupted as error:
    print(error.number)
"""


def test_it_ends_while_the_agent_takes_no_connection() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # of which the last ones have no room
            taken = stack.enter_context(socket.socket())
            taken.setblocking(False)
            taken.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        root = Path(__file__).parents[2]
        process = stack.enter_context(ready([sys.executable, "-c", CONNECTS, url], cwd=root))
        eventually(lambda: state(process.pid) in "SZ")
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=PATIENCE_SECONDS)
    assert (said, complained) == (f"{int(signal.SIGTERM)}\n", "")


@pytest.mark.thorough(but="fleet-SIGTERM")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("how", ["run", "A/B", "fleet", "record"])
def test_evidence_is_given_up_if_the_agent_hangs_and_the_run_is_ended_all_the_same(
    agent: RunAgent, tmp_path: Path, how: str, name: str
) -> None:
    number, file = getattr(signal, name), tmp_path / "x.json"
    with serving(RunAgent(machine="another")) as other:
        command = commands(agent, other, tmp_path / "trace")[how]
        position = command.index("--agent")
        number_of_run = 2 if how == "A/B" else 1  # a rehearsal is the first
        with (
            no_end_answered(agent, number_of_run),
            subprocess.Popen(
                [*command[:position], "--json", str(file), *command[position:]],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            if how == "record":
                eventually(lambda: agent.run_id)
                eventually(lambda: waits_for_signal(process.pid, number))
                process.send_signal(number)
            begun = ["POST /start", "GET /status"]
            eventually(lambda: len(agent.scopes) == number_of_run and agent.routes[-2:] == begun)
            process.send_signal(number)
            try:
                _, said = process.communicate(timeout=PATIENCE_SECONDS)
            finally:
                process.kill()  # a defect is not waited for
            assert agent.run_id
        eventually(lambda: agent.routes[-1] == "POST /stop")
        assert other.routes.count("POST /start") == other.routes.count("POST /stop")
    why = (
        f"the evidence was not fetched: the agent had not answered when {name} came; GET"
        f" /evidence/run-1 of {agent.url} returns it once the agent answers again and has ended"
        " the run"
    )
    assert why in file.read_text() if how == "run" else f"{why}\n" in said
    assert process.returncode == {"A/B": -number, "record": 1}.get(how, 0)


@pytest.fixture
def blocked() -> Iterator[None]:
    """Block signals, of which none is left at the end."""
    with signals.dropped():
        yield


@pytest.mark.usefixtures("blocked")
def test_signals_that_come_together_are_one_request_to_end() -> None:
    """As timeout(1) sends one twice. The second would be taken for impatience."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.raise_signal(number)
    assert signals.asked_to_end(PATIENCE_SECONDS)
    assert signals.held_back() is None


@pytest.mark.usefixtures("blocked")
def test_a_signal_that_comes_as_the_command_ends_was_meant_for_the_command() -> None:
    signal.raise_signal(signal.SIGTERM)
    assert signals.with_the_last([]) == [signal.SIGTERM]
    assert signals.held_back() is None
