"""``chainbench-agent demo``: run the bundled workload under an agent and print the evidence."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from agent.client.finding import NoAgent, named_client
from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.client.one_run import NotMeasured
from agent.client.spawn import AgentDidNotStart, running_agent
from agent.demo.bracket import bracket
from agent.show.text import render
from agent.terminal import output as terminal
from agent.terminal.values import count, printable

OF_AGENT = (AgentDidNotStart, NoAgent, AgentRefused, AgentUnreachable, NotMeasured)


def run_demo(agent_url: str | None = None) -> int:
    """Print the evidence of one run and return an exit status. By default, start an agent for it.

    The status is 0 even if nothing could be measured, because the evidence then says why. It is 1
    if the agent does not start, does not answer or refuses, or if the run has ended before the
    workload was over. Raises OutputFailed.
    """
    try:
        with an_agent(agent_url) as agent:
            is_whole = demonstrate(agent)
    except (*OF_AGENT, subprocess.CalledProcessError) as error:
        say(str(error))
        return 1
    return 0 if is_whole else 1


@contextlib.contextmanager
def an_agent(url: str | None) -> Iterator[AgentClient]:
    """Yield the agent at a URL, or one that ends with this block.

    Raises `NoAgent`, `AgentDidNotStart`.
    """
    if url is not None:
        yield named_client(url, "--agent")
        return
    with running_agent() as agent:
        yield agent


def demonstrate(agent: AgentClient) -> bool:
    """Run the workload under an agent and print the result. Return whether the run covers it."""
    say(f"agent at {agent.url}, running the bundled workload")
    run = bracket(agent)
    done = "".join(f"  {count(amount):>10} {unit}\n" for unit, amount in run.work.items())
    terminal.write(f"The workload did\n{done}\n")
    color = terminal.wants_color(sys.stdout)
    terminal.write(render(run.evidence, run.status, terminal.columns(sys.stdout), color))
    if not run.is_whole:
        say("the run ended before the workload was over")
    return run.is_whole


def say(text: str) -> None:
    terminal.complain(f"demo: {printable(text, 2000)}\n")
