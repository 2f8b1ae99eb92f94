"""A signal while an agent takes long to begin the run: the wait ends, and no run is left behind."""

import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.agent_server import serving
from fakes.run_agent import RunAgent, no_start_answered, state
from fakes.run_command import environment, line, ready
from fakes.waiting import PATIENCE_SECONDS, eventually

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
                process.communicate(timeout=PATIENCE_SECONDS)
            finally:
                process.kill()  # a defect is not waited for
            assert process.returncode == -number
            assert not agent.run_id
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
from agent.run.starting import start_or_give_up

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
