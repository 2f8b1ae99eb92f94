"""An agent of one's own, for as long as it is needed."""

import contextlib
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO

READY = re.compile(r"listening on (http://\S+)")
COMMAND = (sys.executable, "-P", "-m", "agent", "--port", "0")
"""-P: the agent that is installed, not a folder of that name where this is started."""

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class AgentDidNotStart(Exception):
    """The agent ended, or said nothing, before it listened. Its own words are on stderr."""


@contextlib.contextmanager
def running_agent(
    command: Sequence[str] = COMMAND, timeout_s: float = START_TIMEOUT_S
) -> Iterator[str]:
    """Starts an agent on a free port, yields its base URL, stops it.

    Ready is when it prints ``listening on http://HOST:PORT`` on stdout; whatever else it prints
    goes to stderr. Raises AgentDidNotStart.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace")
    assert process.stdout is not None
    urls: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=read_output, args=(process.stdout, urls), daemon=True)
    reader.start()
    try:
        yield wait_for_url(process, urls, timeout_s)
    finally:
        stop(process)
        reader.join(STOP_TIMEOUT_S)
        process.stdout.close()


def read_output(stdout: IO[str], urls: "queue.SimpleQueue[str | None]") -> None:
    """Passes on the agent's address, then None at the end of its output."""
    for line in stdout:
        if ready := READY.search(line):
            urls.put(ready[1])
        else:
            sys.stderr.write(line)
    urls.put(None)


def wait_for_url(
    process: "subprocess.Popen[str]", urls: "queue.SimpleQueue[str | None]", timeout_s: float
) -> str:
    try:
        url = urls.get(timeout=timeout_s)
    except queue.Empty:
        raise AgentDidNotStart(f"the agent did not listen within {timeout_s:g} s") from None
    if url is None:
        raise AgentDidNotStart(f"the agent ended with status {process.wait()} before it listened")
    return url


def stop(process: "subprocess.Popen[str]") -> None:
    """Asks the agent to end, and ends it where it does not."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
