"""``chainbench-agent run``: what becomes of the command, and what is measured of it."""

import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest
from fakes.run_agent import RunAgent, state
from fakes.run_command import PYTHON, UNTIL_IT_SLEEPS, finished, in_shell, line, run
from fakes.waiting import eventually

from agent.client.isolation import PACKAGE_FOLDER
from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


SAYS_WHAT_IS_IMPORTED = """
import sys
sys.path.append(sys.argv[1])
from agent.client import run_module
from agent.run import {module} as module

before = module.{type}.{method}

def told(*arguments):
    print(*sys.modules, file=sys.stderr)
    if any(isinstance(one, run_module.SitePackages) and one._added for one in sys.meta_path):
        print("site-packages", file=sys.stderr)
    return before(*arguments)

module.{type}.{method} = told
run_module.main()
"""
NOT_NEEDED_YET = {
    *(
        "dataclasses",
        "inspect",
        "pathlib",
        "urllib.parse",
        "http.client",
        "email",
        "ssl",
        "hashlib",
        "random",
        "shutil",
        "subprocess",
        "tempfile",
        "numpy",
    ),
    *("agent.show.brief", "agent.sections.probes", "agent.client.spawn", "agent.cli.overhead"),
    *("agent.run.series", "agent.comparison.causes"),
}
NOT_NEEDED_BEFORE_GIT = {*NOT_NEEDED_YET, "json", "socket", "ctypes", "datetime"}


def imported(agent: RunAgent, module: str, type_: str, method: str, *options: str) -> set[str]:
    """Return what ``run`` has imported as it calls this method.

    Also ``site-packages``, if these have been added to its path.
    """
    script = SAYS_WHAT_IS_IMPORTED.format(module=module, type=type_, method=method)
    arguments = ["run", "--agent", agent.url, "--quiet", *options, "--", "true"]
    done = finished([sys.executable, "-ISc", script, PACKAGE_FOLDER, "agent", *arguments])
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_a_command_does_not_wait_for_what_is_needed_later(agent: RunAgent) -> None:
    """Each module that is imported before the command begins takes a millisecond of its start."""
    loaded = imported(agent, "held", "HeldCommand", "run", "--commit", "c")
    assert "agent.run.held" in loaded
    assert not loaded & NOT_NEEDED_YET
    assert "site-packages" not in loaded


def test_git_answers_while_the_rest_is_imported(agent: RunAgent) -> None:
    """Also where there is a URL to check."""
    loaded = imported(agent, "labels", "CommitHere", "__init__")
    assert "agent.run.labels" in loaded
    assert not loaded & NOT_NEEDED_BEFORE_GIT


# --- what becomes of the command


@pytest.mark.parametrize("status", [0, 1, 3, 125, 255])
def test_the_exit_status_is_the_commands(agent: RunAgent, status: int) -> None:
    done = run(agent, ["sh", "-c", f"exit {status}"])
    assert done.returncode == status
    assert f"\nended     with status {status}\n" in done.stderr
    assert agent.routes == ["GET /status", "POST /start", "GET /status", "POST /stop"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGSEGV", "SIGHUP", "SIGINT", "SIGPIPE"])
def test_what_is_killed_by_a_signal_is_seen_as_that(agent: RunAgent, name: str) -> None:
    number = getattr(signal, name)
    done = run(agent, ["sh", "-c", f"kill -{int(number)} $$"])
    assert done.returncode == -number
    assert f"ended     killed by {name}\n" in done.stderr


def test_the_command_is_held_until_the_agent_has_answered(agent: RunAgent, tmp_path: Path) -> None:
    trace, seen = tmp_path / "trace", []

    def look(pid: int) -> None:
        os.kill(pid, signal.SIGCONT)  # somebody else's: fg in a shell, for example
        eventually(lambda: state(pid) == "S")
        time.sleep(0.3)
        seen.append((Path(f"/proc/{pid}/comm").read_text(), trace.exists(), state(pid)))

    agent.on_start = look
    done = run(agent, ["sh", "-c", f"echo $$ > {trace}"])
    assert done.returncode == 0
    assert seen == [("sh\n", False, "S")]
    assert agent.scopes == [{"pid": int(trace.read_text())}]


def test_it_is_stopped_rather_than_blocked_while_it_is_held(agent: RunAgent) -> None:
    states: list[str] = []
    agent.on_start = lambda pid: states.append(state(pid))
    run(agent, ["true"])
    assert states == ["T"]


UNTOUCHED = """
import os, signal, resource
print(sorted(os.listdir('/proc/self/fd')))
KEPT = ('SigBlk', 'SigIgn', 'SigCgt', 'Umask', 'Cpus_allowed', 'NoNewPrivs', 'CapEff')
print([line for line in open('/proc/self/status') if line.startswith(KEPT)])
print(os.getcwd(), sorted(os.environ.items()), os.getpgrp(), os.getsid(0), os.nice(0))
print([resource.getrlimit(n) for n in range(16)])
print(os.getresuid(), os.getresgid(), os.getgroups())
"""


@pytest.mark.parametrize("before", ["", "trap '' INT HUP;", "exec 7</dev/null;", "ulimit -n 99;"])
def test_the_command_finds_what_it_would_find_without(agent: RunAgent, before: str) -> None:
    command = shlex.join([*PYTHON, UNTOUCHED])
    plain, measured = (
        in_shell(agent, f"{before} {word} {command}; true") for word in ("", "measured --")
    )
    assert measured.stdout == plain.stdout
    assert "SigIgn" in plain.stdout


def test_what_nobody_reads_ends_it_as_without(agent: RunAgent) -> None:
    done = in_shell(agent, "measured -- yes | head -n 1; echo ${PIPESTATUS[0]}")
    assert done.stdout == "y\n141\n"


def test_ten_megabytes_of_output_are_only_the_commands(agent: RunAgent) -> None:
    size = 10 << 20
    script = f"import os; [os.write(1, b'x' * 65536) for _ in range({size >> 16})]"
    done = run(agent, [*PYTHON, script])
    assert done.stdout == "x" * size
    assert max(map(cells, done.stderr.splitlines())) <= 80


def test_standard_input_is_the_commands(agent: RunAgent) -> None:
    done = in_shell(agent, "echo hello | measured -- cat")
    assert done.stdout == "hello\n"


@pytest.mark.parametrize(
    ("make", "status", "why"),
    [
        (None, 127, "No such file or directory"),
        ("#!/no/such/interpreter\n", 127, "its interpreter: No such file or directory"),
        ("no script at all\n", 126, "Exec format error (a script has to begin with #!"),
        ("-", 126, "Permission denied"),
        ("/", 126, "Is a directory"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    agent: RunAgent, tmp_path: Path, make: str | None, status: int, why: str
) -> None:
    path = tmp_path / "command"
    if make == "/":
        path.mkdir()
    elif make:
        path.write_text(make)
        path.chmod(0o644 if make == "-" else 0o755)
    done = run(agent, [str(path)])
    [said] = done.stderr.splitlines()
    assert said.startswith(f"chainbench-agent run: cannot run {path}: {why}")
    assert (done.returncode, done.stdout) == (status, "")
    assert agent.run_id == "", "a run that was begun for it is ended"


@pytest.mark.parametrize("how", [[], ["--runs", "2"]])
def test_a_command_that_cannot_be_held_is_one_line(how: list[str]) -> None:
    """Nothing was tried of it, so the status is none that shells have for a command."""
    command = shlex.join(line("run", "--quiet", *how, "--", "sh", "-c", "exit 6"))
    done = finished(["bash", "-c", f"ulimit -n 6; exec {command}"])
    [said] = done.stderr.splitlines()
    assert said == "chainbench-agent run: cannot run sh: Too many open files"
    assert (done.returncode, done.stdout) == (125, "")


def test_a_name_is_looked_for_on_the_path(agent: RunAgent) -> None:
    done = run(agent, ["no-such-command"])
    assert done.returncode == 127
    why = "No such file or directory (nor anywhere on PATH)"
    assert done.stderr == f"chainbench-agent run: cannot run no-such-command: {why}\n"
    assert agent.requests == []


def test_what_only_a_shell_understands_gets_a_hint(agent: RunAgent) -> None:
    done = run(agent, ["ls | wc"])
    assert done.returncode == 127
    assert done.stderr.endswith("to have one: -- sh -c 'ls | wc')\n")


# --- what it leaves behind


def test_a_daemon_is_named_and_not_waited_for(agent: RunAgent, tmp_path: Path) -> None:
    script = f"setsid sleep 601 >/dev/null 2>&1 & {UNTIL_IT_SLEEPS}; echo $!"
    done = run(agent, ["sh", "-c", script], "--json", tmp_path / "x.json")
    pid = int(done.stdout)
    try:
        eventually(lambda: state(pid) == "S")
        assert f"\nleft      running after its end: sleep ({pid})\n" in done.stderr
        saved = json.loads((tmp_path / "x.json").read_text())["command"]
        assert saved["left_behind"] == [{"pid": pid, "command": "sleep"}]
    finally:
        os.kill(pid, signal.SIGKILL)


ORPHANS = """
import os, sys, time
parent = os.getppid()
def parent_of(pid):
    return open(f'/proc/{pid}/stat').read().rpartition(') ')[2].split()[1]
def children():
    pids = set(filter(str.isdecimal, os.listdir('/proc')))
    return {pid for pid in pids if parent_of(pid) == str(parent)}
while True:
    try:
        before = children()
        break
    except OSError:
        pass
for _ in range(20):
    if (child := os.fork()) == 0:
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
    os.waitpid(child, 0)
until = time.monotonic() + 60
while True:
    time.sleep(0.01)
    try:
        left = children() - before
    except OSError:
        continue
    if not left or time.monotonic() > until:
        break
print(len(left))
"""


def test_orphans_that_end_are_waited_for(agent: RunAgent) -> None:
    """As process 1 would: otherwise they would fill up the table of processes."""
    done = run(agent, [*PYTHON, ORPHANS])
    assert done.stdout == "0\n"
    assert "left " not in done.stderr


# --- time and memory


NO_HUGE = "mmap.MADV_NOHUGEPAGE"
BURNS = "import time\nwhile time.process_time() < 0.4: pass\nprint(time.process_time())"


def test_times_are_those_of_the_command(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    done = run(agent, [*PYTHON, BURNS], "--json", file)
    saved = json.loads(file.read_text())["command"]
    assert saved["arguments"][:2] == PYTHON
    used = (saved["user_ms"] + saved["system_ms"]) / 1e3
    assert used == pytest.approx(float(done.stdout), rel=0.25)
    assert saved["wall_ms"] / 1e3 > float(done.stdout)


def test_page_faults_are_those_of_the_command(agent: RunAgent, tmp_path: Path) -> None:
    found = []
    for pages in (0, 4000):
        touch = f"import mmap; m = mmap.mmap(-1, 4001 * mmap.PAGESIZE)\nm.madvise({NO_HUGE})\n"
        words = f"{touch}for n in range({pages}): m[n * mmap.PAGESIZE] = 1"
        run(agent, [*PYTHON, words], "--json", tmp_path / "x.json")
        found.append(json.loads((tmp_path / "x.json").read_text())["command"])
    more = found[1]["minor_faults"] - found[0]["minor_faults"]
    assert more == pytest.approx(4000, rel=0.1)
    assert all(one["major_faults"] >= 0 for one in found)


def test_memory_is_the_commands_or_not_known(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    large = "x = b'x' * (200 << 20)"
    run(agent, [*PYTHON, large], "--json", file)
    saved = json.loads(file.read_text())["command"]
    assert saved["max_resident_bytes"] == pytest.approx(210 << 20, rel=0.05)
    done = run(agent, ["true"], "--json", file)
    saved = json.loads(file.read_text())["command"]
    assert saved["max_resident_bytes"] is None, "of ours, not of true"
    assert saved["resident_floor_bytes"] < 100 << 20
    assert "\nmemory    at most " in done.stderr
