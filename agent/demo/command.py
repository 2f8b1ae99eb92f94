"""``chainbench-agent demo``: run the bundled workload under an agent and print the evidence."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from agent.client.access import NOTHING, Access, NoToken, from_environment
from agent.client.spawn import AgentDidNotStart, running_agent
from agent.show.text import render
from agent.terminal import output as terminal
from agent.terminal.values import count, printable


def run_demo(agent_url: str | None = None) -> int:
    """Print the evidence of one run and return an exit status. By default, start an agent for it.

    The status is 0 even if nothing could be measured, because the evidence then says why. It is 1
    if the agent does not start, does not answer or refuses, or if another client has ended the run
    before the workload was over, and 2 if the client's library is not installed. Raises
    OutputFailed.
    """
    if find_spec("requests") is None:  # bracket.py imports it
        say("needs requests: pip install 'chainbench-agent[demo]'")
        return 2
    from agent.demo.bracket import Ended, NoAgent, Refused

    of_agent = (AgentDidNotStart, NoAgent, NoToken, Refused, Ended)
    try:
        if agent_url:
            demonstrate(agent_url.rstrip("/"), from_environment())
        else:
            with own_agent() as url:
                demonstrate(url)
    except (*of_agent, subprocess.CalledProcessError) as error:
        say(str(error))
        return 1
    return 0


@contextlib.contextmanager
def own_agent() -> Iterator[str]:
    """Start an agent and yield its base URL; its diagnostics go to this process's stderr."""
    with running_agent(stderr=None) as agent:
        yield agent.url


def demonstrate(url: str, access: Access = NOTHING) -> None:
    """Run the workload under the agent at ``url`` and print the result."""
    from agent.demo.bracket import bracket

    def connected() -> None:
        say(f"agent at {url}, running the bundled workload")

    run = bracket(url, access=access, on_connected=connected)
    done = "".join(f"  {count(amount):>10} {unit}\n" for unit, amount in run.work.items())
    terminal.write(f"The workload did\n{done}\n")
    color = terminal.wants_color(sys.stdout)
    terminal.write(render(run.evidence, run.status, terminal.columns(sys.stdout), color))


def say(text: str) -> None:
    terminal.complain(f"demo: {printable(text, 2000)}\n")
