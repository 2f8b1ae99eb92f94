"""``chainbench-agent demo``: brackets the bundled workload and prints the evidence."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from agent.client.spawn import AgentDidNotStart, running_agent
from agent.show.text import render
from agent.terminal import output as terminal
from agent.terminal.values import count, printable


def run_demo(agent_url: str | None = None) -> int:
    """Prints evidence of one run, from the agent given or from one of its own; an exit status.

    0 also where nothing could be measured: the evidence then says why. 1 where the agent does not
    start or refuses, 2 where the client's library is missing.
    """
    try:
        import requests
    except ImportError:
        say("needs requests: pip install 'chainbench-agent[demo]'")
        return 2
    try:
        with contextlib.nullcontext(agent_url) if agent_url else own_agent() as url:
            demonstrate(url.rstrip("/"))
    except (AgentDidNotStart, requests.RequestException, subprocess.CalledProcessError) as error:
        say(explain(error))
        return 1
    return 0


@contextlib.contextmanager
def own_agent() -> Iterator[str]:
    """The base URL of an agent that lives as long as it is needed; its complaints are shown."""
    with running_agent(stderr=None) as agent:
        yield agent.url


def demonstrate(url: str) -> None:
    """Brackets the workload with the agent at ``url`` and prints what came of it."""
    from agent.demo.bracket import bracket

    say(f"agent at {url}, running the bundled workload")
    run = bracket(url)
    done = "".join(f"  {count(amount):>10} {unit}\n" for unit, amount in run.work.items())
    terminal.write(f"The workload did\n{done}\n")
    color = terminal.wants_color(sys.stdout)
    terminal.write(render(run.evidence, run.status, terminal.columns(), color))


def explain(error: Exception) -> str:
    """The error, with the agent's own words where it was the agent that refused."""
    response = getattr(error, "response", None)
    return str(error) if response is None else f"{error}: {response.text}"


def say(text: str) -> None:
    terminal.write(f"demo: {printable(text, 2000)}\n", sys.stderr)
