"""``chainbench-agent run``: real commands, with an agent of the contract around them."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import FakeAgent, Request, serving
from fakes.run_agent import RunAgent, state
from fakes.sample_evidence import evidence
from fakes.terminals import CTRL_C, on_terminal
from fakes.waiting import eventually

from agent.client.interpreter import own_module
from agent.show.command import show
from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

PYTHON = [sys.executable, "-ISc"]


@pytest.fixture
def agent() -> Iterator[RunAgent]:
    with serving(RunAgent()) as fake:
        assert isinstance(fake, RunAgent)
        yield fake


def line(*arguments: object) -> list[str]:
    return list(own_module("agent", *map(str, arguments)).command)


def environment(**variables: str) -> dict[str, str]:
    """Return this environment without what would choose an agent or a width."""
    chosen = ("CHAINBENCH_AGENT", "COLUMNS", "NO_COLOR")
    kept = {k: v for k, v in os.environ.items() if k not in chosen and not k.startswith("PYTHON")}
    return {**kept, "LC_ALL": "C.UTF-8", **variables}


def run(
    fake: FakeAgent, command: list[str], *options: object, **streams: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a command around which a fake agent measures."""
    return subprocess.run(
        line("run", "--agent", fake.url, *options, "--", *command),
        env=environment(),
        **{"stdin": subprocess.DEVNULL, "capture_output": True, **streams},
        text=True,
        check=False,
    )


def in_shell(fake: FakeAgent, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of bash's, in which ``measured`` is ``run --agent URL``."""
    command = shlex.join(line("run", "--agent", fake.url))
    return subprocess.run(
        ["bash", "-c", f'measured() {{ {command} "$@"; }}\n{script}'],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


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


# --- signals and the terminal


READS = (
    "import sys; print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty(), input('? '))"
)


def test_the_terminal_is_the_commands(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--", *PYTHON, READS)
    with on_terminal(command, environment(TERM="xterm")) as terminal:
        terminal.wait_for("? ")
        terminal.type(b"typed\n")
        shown = terminal.to_the_end()
    assert "True True True typed" in shown
    assert "\x1b[" in shown, "color, on a terminal"
    assert max(map(cells, shown.splitlines())) <= 80
    assert terminal.process.returncode == 0


def test_ctrl_c_goes_to_the_command_and_prints_what_there_is(agent: RunAgent) -> None:
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    command = line("run", "--agent", agent.url, "--", "sh", "-c", script)
    with on_terminal(command, environment()) as terminal:
        terminal.wait_for("ready")
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert shown.count("caught\n") == 1
    assert "with status 5" in shown
    assert "12,655 waits for a CPU" in shown
    assert terminal.process.returncode == 5


def test_ctrl_c_that_kills_the_command_ends_us_in_the_same_way(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--", "sleep", "600")
    with on_terminal(command, environment()) as terminal:
        eventually(lambda: agent.run_id)
        time.sleep(0.2)
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert "killed by SIGINT" in shown
    assert "Verdict: " in shown
    assert terminal.process.returncode == -signal.SIGINT


COUNTS = """
import os, signal, sys, time
got = []
def take(number, frame):
    got.append(signal.Signals(number).name)
    if sys.argv[1] == 'group' and len(got) < 50:
        os.killpg(0, number)  # reaches our parent too
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, take)
print('ready', flush=True)
until = time.monotonic() + 60
while not got and time.monotonic() < until:
    time.sleep(0.01)
time.sleep(0.3)
print(got[:3] if sys.argv[1] == 'group' else got, flush=True)
"""


@contextlib.contextmanager
def counting(fake: FakeAgent, how: str) -> Iterator["subprocess.Popen[str]"]:
    command = line("run", "--quiet", "--agent", fake.url, "--", *PYTHON, COUNTS, how)
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT"])
def test_a_signal_to_us_is_passed_on_once(agent: RunAgent, name: str) -> None:
    with counting(agent, "once") as process:
        process.send_signal(getattr(signal, name))
        said, _ = process.communicate()
    assert said == f"['{name}']\n"
    assert process.returncode == 0


def test_a_command_that_signals_its_group_is_not_answered(agent: RunAgent) -> None:
    """It would get its own signal back, answer it in the same way, and so on."""
    signals = []
    agent.on_start = lambda pid: signals.append(pid)
    with counting(agent, "group") as process:
        os.kill(signals[0], signal.SIGUSR1)
        said, _ = process.communicate()
    assert process.returncode == 0
    assert said.startswith("['SIGUSR1'")


def test_it_is_stopped_and_continued_with_the_command(agent: RunAgent) -> None:
    """As by Ctrl-Z and fg. SIGSTOP, because the kernel ignores SIGTSTP for an orphaned group."""
    # not a shell: in the middle of its vfork it could not stop
    script = "import sys, time; print('ready', flush=True); time.sleep(0.3); sys.exit(6)"
    command = line("run", "--agent", agent.url, "--", *PYTHON, script)
    with subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        both = (process.pid, agent.scopes[0]["pid"])
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            eventually(lambda: [state(pid) for pid in both] == ["T", "T"])
        finally:
            os.killpg(process.pid, signal.SIGCONT)
        _, said = process.communicate()
    assert process.returncode == 6
    assert "with status 6" in said


def test_a_signal_while_the_run_is_stopped_does_not_cost_the_evidence(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--", "sh", "-c", "exit 3")

    def signal_at_stop(request: Request) -> None:
        if request.route == "POST /stop":
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)

    agent.on_request = signal_at_stop
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert "Verdict: " in said
    assert process.returncode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_before_the_command_runs(agent: RunAgent, tmp_path: Path, number: int) -> None:
    agent.busy = 10**6
    command = line("run", "--agent", agent.url, "--", "touch", str(tmp_path / "trace"))
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting for the end of another run" in process.stderr.readline()
        process.send_signal(number)
        said = process.stderr.read()
    assert said == "chainbench-agent run: interrupted before the command was run\n"
    assert process.returncode == -number
    assert "POST /stop" not in agent.routes
    assert list(tmp_path.iterdir()) == []


def test_killed_while_it_holds_the_command_it_leaves_nothing(agent: RunAgent) -> None:
    held: list[int] = []

    def kill_parent(pid: int) -> None:
        held.append(pid)
        os.kill(process.pid, signal.SIGKILL)

    agent.on_start = kill_parent
    command = line("run", "--agent", agent.url, "--", "sleep", "600")
    with subprocess.Popen(command, env=environment()) as process:
        process.wait()
    eventually(lambda: not state(held[0]))


def test_killed_while_the_command_runs_it_takes_the_command_with_it(agent: RunAgent) -> None:
    command = line("run", "--agent", agent.url, "--", "sleep", "600")
    with subprocess.Popen(command, env=environment()) as process:
        eventually(lambda: agent.scopes)
        pid = agent.scopes[0]["pid"]
        eventually(lambda: b"600" in Path(f"/proc/{pid}/cmdline").read_bytes())
        process.kill()
    eventually(lambda: not state(pid))


# --- what it leaves behind


def test_a_daemon_is_named_and_not_waited_for(agent: RunAgent, tmp_path: Path) -> None:
    script = "setsid sleep 601 >/dev/null 2>&1 & sleep 0.2; echo $!"
    done = run(agent, ["sh", "-c", script], "--json", tmp_path / "x.json")
    pid = int(done.stdout)
    try:
        assert state(pid) == "S"
        assert f"\nleft      running after its end: sleep ({pid})\n" in done.stderr
        saved = json.loads((tmp_path / "x.json").read_text())["command"]
        assert saved["left_behind"] == [{"pid": pid, "command": "sleep"}]
    finally:
        os.kill(pid, signal.SIGKILL)


ORPHANS = """
import os, sys, time
for _ in range(20):
    if (child := os.fork()) == 0:
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
    os.waitpid(child, 0)
parent = os.getppid()
until = time.monotonic() + 60
def stat(pid):
    return open(f'/proc/{pid}/stat').read().rpartition(') ')[2].split()[:2]
def zombies():
    pids = filter(str.isdecimal, os.listdir('/proc'))
    return [pid for pid in pids if stat(pid) == ['Z', str(parent)]]
time.sleep(0.3)
while True:
    try:
        left = zombies()
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


BURNS = "import time\nwhile time.process_time() < 0.4: pass\nprint(time.process_time())"


def test_times_are_those_of_the_command(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    done = run(agent, [*PYTHON, BURNS], "--json", file)
    saved = json.loads(file.read_text())["command"]
    assert saved["arguments"][:2] == PYTHON
    used = (saved["user_ms"] + saved["system_ms"]) / 1e3
    assert used == pytest.approx(float(done.stdout), rel=0.25)
    assert saved["wall_ms"] / 1e3 > float(done.stdout)


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


# --- which agent, and whose run


def test_labels_and_fields_of_the_start_are_passed_on(agent: RunAgent) -> None:
    options = "--sections runqlat,offcpu --details wait_functions --timing accounting"
    labels = ["--scenario", "baseline", "--commit", "c0ffee", "--variant", ""]
    run(agent, ["true"], *options.split(), *labels)
    [start] = [r for r in agent.requests if r.route == "POST /start"]
    body = json.loads(start.body)
    assert body.pop("scope")["pid"] > 1
    assert body == {
        "sections": ["runqlat", "offcpu"],
        "details": ["wait_functions"],
        "timing": "accounting",
        "scenario": "baseline",
        "commit": "c0ffee",
        "variant": "",
    }


def test_the_variable_names_an_agent(agent: RunAgent) -> None:
    done = subprocess.run(
        line("run", "--", "true"),
        env=environment(CHAINBENCH_AGENT=agent.url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Verdict: " in done.stderr
    assert agent.routes[-1] == "POST /stop"


def busy(agent: RunAgent) -> str:
    return (
        "run r-0 is in progress (since 2026-03-01T10:11:12.000+00:00); "
        f"if its client is gone, end it with: curl -X POST {agent.url}/stop"
    )


def test_while_another_run_is_in_progress_it_waits(agent: RunAgent) -> None:
    agent.busy = 3
    done = run(agent, ["echo", "done"])
    assert done.stdout == "done\n"
    assert done.stderr.count("waiting for the end of another run") == 1
    assert busy(agent) in done.stderr
    assert "Verdict: " in done.stderr
    assert agent.routes.count("POST /start") == 4
    assert agent.routes.count("POST /stop") == 1


def test_it_waits_no_longer_than_allowed_and_stops_no_other_run(agent: RunAgent) -> None:
    agent.busy = 10**6
    done = run(agent, ["sh", "-c", "exit 7"], "--wait", "0.3")
    assert done.returncode == 7
    told = f"no evidence: another run did not end in 0.3 s (--wait): {busy(agent)}"
    assert done.stderr.count(told) == 1
    assert done.stderr.count(busy(agent)) == 2, "also when it begins to wait"
    assert "POST /stop" not in agent.routes


def test_a_run_that_another_client_has_ended_still_has_its_evidence(agent: RunAgent) -> None:
    """What is in progress by then is theirs."""
    agent.run_id = ""

    def taken_over(request: Request) -> None:
        if request.route == "GET /status" and agent.run_id:
            agent.run_id = "theirs"

    agent.on_request = taken_over
    done = run(agent, ["true"])
    assert agent.routes[-1] == "GET /evidence/run-1"
    assert "POST /stop" not in agent.routes
    assert "Verdict: " in done.stderr


def test_an_agent_that_takes_the_number_for_another_process(agent: RunAgent) -> None:
    agent.elsewhere = timedelta(days=3)
    done = run(agent, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    assert "it is on another machine, or in another pid namespace" in " ".join(done.stderr.split())
    assert agent.routes[-1] == "POST /stop", "its own run is ended"
    assert "Verdict" not in done.stderr


def test_a_refusal_is_told_and_the_command_runs(agent: RunAgent) -> None:
    agent.refuse_start = True
    done = run(agent, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    told = "no evidence: the agent refused: there is no process 1"
    assert done.stderr.count(told) == 1
    assert "with status 7" in done.stderr


def test_what_is_missing_is_reported_once(agent: RunAgent) -> None:
    agent.lacking = "CAP_BPF and CAP_PERFMON are missing: start the agent as root"
    agent.evidence = {"available": False, "reason": agent.lacking}
    done = run(agent, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    assert " ".join(done.stderr.split()).count(agent.lacking) == 1
    assert "\ntime      " in done.stderr


def test_an_agent_that_does_not_answer(agent: RunAgent) -> None:
    with serving(FakeAgent()) as gone:
        pass
    done = run(gone, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    assert f"no evidence: no answer from {gone.url}: Connection refused" in done.stderr


def test_an_agent_that_is_gone_at_the_end(agent: RunAgent) -> None:
    agent.evidence = ["not", "an", "object"]  # type: ignore[assignment]
    done = run(agent, ["sh", "-c", "exit 7"])
    assert done.returncode == 7
    assert "evidence  none: the evidence is lost" in done.stderr


def test_what_is_not_an_agent_is_sent_nothing_but_a_question() -> None:
    with serving(FakeAgent()) as other:  # its /status is an object, but not ours
        done = run(other, ["true"])
    assert other.routes == ["GET /status"]
    assert f"no evidence: what answers at {other.url} is not a chainbench-agent" in done.stderr


# --- what it says, and where


def test_the_report_is_for_80_columns_and_short(agent: RunAgent) -> None:
    agent.evidence = evidence(run_id="run-1")
    done = run(agent, ["sh", "-c", "exit 0", *(f"argument-{n}" for n in range(30))])
    lines = done.stderr.splitlines()
    assert max(map(cells, lines)) <= 80
    assert "\x1b" not in done.stderr
    for label in ("command", "ended", "time", "memory", "waiting", "block I/O", "blocked", "execs"):
        assert any(told.startswith(f"{label:<10}") for told in lines)
    assert lines[-1].startswith("cost      ")
    assert "Verdict: degraded" in done.stderr
    assert "3 events of biolatency were lost" in done.stderr


def test_files_keep_the_report_and_the_evidence(
    agent: RunAgent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, file = tmp_path / "report", tmp_path / "evidence.json"
    done = run(agent, ["true"], "--output", output, "--json", file)
    assert (done.stdout, done.stderr) == ("", "")
    report = output.read_text()
    assert report.startswith("command   true\nended     with status 0\n")
    assert max(map(cells, report.splitlines())) <= 80
    saved = json.loads(file.read_text())
    assert saved.pop("command")["exit_status"] == 0
    assert saved == agent.evidence
    assert show(str(file)) == 0
    assert "\nCommand\n  command   true\n  ended     with status 0\n" in capsys.readouterr().out


def test_quiet_says_nothing(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    done = run(agent, ["sh", "-c", "exit 3"], "--quiet", "--json", file)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert json.loads(file.read_text())["command"]["exit_status"] == 3


def test_without_evidence_the_file_says_so(tmp_path: Path) -> None:
    with serving(FakeAgent()) as gone:
        pass
    file = tmp_path / "evidence.json"
    run(gone, ["true"], "--json", file)
    saved = json.loads(file.read_text())
    assert saved["available"] is False
    assert saved["reason"].startswith("no answer from")
    assert saved["command"]["exit_status"] == 0


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2> >(exec true)"])
@pytest.mark.parametrize("status", [0, 3])
def test_a_report_that_cannot_be_written_changes_nothing(
    agent: RunAgent, stderr: str, status: int
) -> None:
    done = in_shell(agent, f"measured -- sh -c 'sleep 0.2; exit {status}' {stderr}; echo $?")
    assert done.stdout == f"{status}\n"
    assert agent.routes[-1] == "POST /stop"


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_a_full_disk_is_reported_and_the_status_stays(agent: RunAgent, option: str) -> None:
    done = run(agent, ["sh", "-c", "exit 3"], option, "/dev/full")
    assert done.returncode == 3
    assert "cannot write /dev/full: No space left on device\n" in done.stderr


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_a_file_that_cannot_be_written_is_reported_before_the_command_runs(
    agent: RunAgent, option: str, tmp_path: Path
) -> None:
    done = run(agent, ["touch", str(tmp_path / "trace")], option, "/no/such/folder/file")
    why = "cannot write /no/such/folder/file: No such file or directory"
    assert (done.returncode, done.stderr) == (125, f"chainbench-agent run: {why}\n")
    assert list(tmp_path.iterdir()) == []
    assert agent.requests == []


def test_a_pipe_is_not_opened_before_its_time(agent: RunAgent) -> None:
    done = in_shell(agent, "measured --json >(cat) -- true 2>/dev/null | head -n 1")
    assert done.stdout == "{\n"


def test_hostile_arguments_are_only_text(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    done = run(agent, ["true", "\x1b[31m", "\udcff", "ü\n"], "--json", file)
    assert "\x1b" not in done.stderr
    assert json.loads(file.read_text())["command"]["arguments"] == [
        "true",
        "\x1b[31m",
        "\\xff",
        "ü\n",
    ]
