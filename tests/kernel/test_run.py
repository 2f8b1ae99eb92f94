"""``run`` and ``record`` with the real kernel, and with agents of their own."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.cgroups import mounted
from fakes.needs import lacking
from fakes.own_network import in_own_network
from fakes.processes import command_of, descendants, name_of, state_of
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.run_command import PYTHON, finished, line, ready
from fakes.terminals import CTRL_C, on_terminal
from fakes.waiting import eventually

from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

SOMEBODY = "65534"


def alone(*arguments: object) -> list[str]:
    """Return a command line that finds no agent where it looks for one."""
    return in_own_network(line(*arguments))


def run(agent: RealAgent, file: Path, *command: str, options: Sequence[object] = ()) -> Any:
    """Run a command under an agent; return the saved evidence."""
    done = finished(line("run", "--agent", agent.url, "--json", file, *options, "--", *command))
    assert max(map(cells, done.stderr.splitlines())) <= 80
    evidence = json.loads(file.read_text())
    assert evidence["available"], evidence["reason"]
    return evidence


def test_the_run_is_about_the_command_from_its_exec_on(agent: RealAgent, tmp_path: Path) -> None:
    evidence = run(agent, tmp_path / "x.json", "sh", "-c", "/bin/true; /bin/true; /bin/true")
    assert evidence["scope"]["command"] == "sh"
    executed = {row["command"]: row["count"] for row in evidence["exec"]["top_commands"]}
    assert executed == {"sh": 1, "true": 3}
    assert evidence["command"]["exit_status"] == 0


def test_the_wait_for_the_agent_is_not_the_commands(agent: RealAgent, tmp_path: Path) -> None:
    script = "import time; time.sleep(0.25)"
    evidence = run(agent, tmp_path / "x.json", *PYTHON, script)
    blocked = {row["reason"]: row["ms"] for row in evidence["offcpu"]["top_reasons"]}
    assert "readv" not in blocked
    assert blocked["clock_nanosleep"] == pytest.approx(250, rel=0.5)
    assert evidence["offcpu"]["stopped"]["by_signal_ms"] > 0, "that was it"


def test_the_calls_of_the_command_are_counted_exactly(agent: RealAgent, tmp_path: Path) -> None:
    script = "import os\nfor _ in range({}): os.read(f, 0)"
    opened = "import os\nf = os.open('/dev/zero', 0)\n"
    few, many = (
        run(agent, tmp_path / "x.json", *PYTHON, opened + script.format(n))["syscall_counts"]
        for n in (1, 1001)
    )
    assert many["read"] - few["read"] == 1000
    assert many["openat"] == few["openat"]


def test_what_holds_the_command_makes_no_call_that_is_counted_by_name(
    agent: RealAgent, tmp_path: Path
) -> None:
    found = run(agent, tmp_path / "x.json", "true")["syscall_counts"]
    assert [found[name] for name in ("futex", "fsync", "write")] == [0, 0, 0]


@pytest.mark.thorough
def test_one_run_waits_for_the_other(agent: RealAgent, tmp_path: Path) -> None:
    first = subprocess.Popen(
        line("run", "--quiet", "--agent", agent.url, "--", "sleep", "2"), stdin=subprocess.DEVNULL
    )
    eventually(lambda: agent.status()["running"])
    other = agent.status()["run_id"]
    done = finished(line("run", "--agent", agent.url, "--", "echo", "second"))
    assert first.wait() == 0
    assert done.stdout == "second\n"
    assert done.stderr.count(f"run {other} is in progress (since 2") == 1
    assert "Verdict: " in done.stderr
    assert not agent.status()["running"]


def test_the_details_are_in_the_report(agent: RealAgent) -> None:
    options = ["--details", "syscalls,exec_failures", "--sections", "exec,syscall_counts"]
    script = "/no/such; exit 0"
    done = finished(line("run", "--agent", agent.url, *options, "--", "sh", "-c", script))
    assert "Syscalls: from entry to return" in done.stderr
    assert re.search(r"^execs .*failed: 1 ENOENT", done.stderr, re.MULTILINE)
    assert "waiting  " not in done.stderr


def sleeps_within(pid: int) -> bool:
    """Return whether a descendant of the process is the program ``sleep``, and is asleep."""
    return any(
        command_of(each).startswith("sleep") and state_of(each) == "S" for each in descendants(pid)
    )


def test_with_an_agent_of_its_own(tmp_path: Path) -> None:
    done = finished(alone("run", "--", "sh", "-c", "sleep 0.1; exit 3"))
    assert done.returncode == 3
    assert done.stdout == ""
    assert max(map(cells, done.stderr.splitlines())) <= 80
    assert re.search(r"^blocked   .*wait4", done.stderr, re.MULTILINE)
    assert re.search(r"^Verdict: ", done.stderr, re.MULTILINE)


@pytest.mark.thorough
def test_an_agent_of_its_own_is_not_ended_by_a_signal_to_the_group(tmp_path: Path) -> None:
    """As timeout(1) sends it, which is a common way to run a benchmark."""
    file = tmp_path / "x.json"
    command = alone("run", "--json", file, "--", "sh", "-c", "echo ready; sleep 600")
    with ready(command, start_new_session=True) as process:
        eventually(lambda: sleeps_within(process.pid))
        os.killpg(process.pid, signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode == -signal.SIGTERM
    assert "ended     killed by SIGTERM" in said
    evidence = json.loads(file.read_text())
    assert evidence["available"]
    assert "clock_nanosleep" in {row["reason"] for row in evidence["offcpu"]["top_reasons"]}


@pytest.mark.thorough
def test_ctrl_c_with_an_agent_of_its_own() -> None:
    with on_terminal(alone("run", "--", "sleep", "600")) as terminal:
        eventually(lambda: sleeps_within(terminal.process.pid))
        family = descendants(terminal.process.pid)
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert terminal.process.returncode == -signal.SIGINT
    assert "killed by SIGINT" in shown
    assert "Verdict: " in shown
    assert "Traceback" not in shown
    eventually(lambda: not any(map(name_of, family)))


def test_without_privileges_the_command_runs_and_what_is_missing_is_told_once() -> None:
    before = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
    drop = [*before, f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", "--"]
    if subprocess.run([*drop, *line("--help")], stdout=subprocess.DEVNULL, check=False).returncode:
        drop = [*before, "--"]  # this environment is in a folder of root's
    done = finished(in_own_network([*drop, *line("run", "--", "sh", "-c", "exit 4")]))
    assert done.returncode == 4, done.stderr
    told = " ".join(done.stderr.split())
    assert told.count("no evidence: ") == 1
    assert "CAP_BPF and CAP_PERFMON" in told
    assert "ended with status 4" in told


@pytest.mark.thorough(but="True")
@pytest.mark.parametrize("whole", [False, True])
def test_an_agent_of_its_own_that_is_killed_is_told_in_a_line(tmp_path: Path, whole: bool) -> None:
    """The supervisor says what became of the serving process, if it is there to say anything."""
    file = tmp_path / "x.json"
    command = alone("run", "--json", file, "--", "sh", "-c", "echo ready; read go")
    with ready(command, stdin=subprocess.PIPE) as running:
        agents = {name_of(pid): pid for pid in descendants(running.pid)}
        # the supervisor first: it would exit by itself
        for name in ("cba-supervisor", "cba-agent") if whole else ("cba-agent",):
            os.kill(agents[name], signal.SIGKILL)
        _, said = running.communicate("go\n")
    assert running.returncode == 0
    told = " ".join(said.split())
    why = (
        "the agent was killed by SIGKILL"
        if whole
        else f"the agent exited with status {128 + signal.SIGKILL}: "
        "chainbench-agent: the serving process was killed by SIGKILL; the evidence of run "
    )
    assert f"; {why}" in told
    assert "\\n" not in told
    assert "\n" not in json.loads(file.read_text())["reason"]


@pytest.mark.thorough
def test_an_agent_that_outlives_its_supervisor_is_not_left_by_the_command(tmp_path: Path) -> None:
    """It serves what it has for a moment more, as a child of ours."""
    file = tmp_path / "x.json"
    command = alone("run", "--json", file, "--", "sh", "-c", "echo ready; read go")
    with ready(command, stdin=subprocess.PIPE) as running:
        agents = {name_of(pid): pid for pid in descendants(running.pid)}
        os.kill(agents["cba-supervisor"], signal.SIGKILL)
        _, said = running.communicate("go\n")
    assert running.returncode == 0
    assert "cba-agent" not in said
    assert json.loads(file.read_text())["command"]["left_behind"] == []
    eventually(lambda: not state_of(agents["cba-agent"]))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "number"), [("cba-supervisor", signal.SIGKILL), ("cba-agent", signal.SIGTERM)]
)
def test_the_evidence_of_an_agent_of_its_own_that_ends_early_is_in_its_log(
    tmp_path: Path, name: str, number: int
) -> None:
    file = tmp_path / "x.json"
    command = alone("run", "--json", file, "--", "sh", "-c", "echo ready; read go")
    with ready(command, stdin=subprocess.PIPE) as running:
        agents = {name_of(pid): pid for pid in descendants(running.pid)}
        os.kill(agents[name], number)
        eventually(lambda: not state_of(agents["cba-agent"]))
        _, said = running.communicate("go\n")
    assert running.returncode == 0
    evidence = json.loads(file.read_text())
    assert evidence["available"]
    assert evidence["scope"]["command"] == "sh"
    assert "Verdict: " in said
    assert "its evidence" not in said


# --- record


def test_record_a_process_until_it_ends(agent: RealAgent, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with program("blocked") as blocked:
        command = line("record", "--agent", agent.url, "--pid", blocked.pid, "--json", file)
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as recording:
            eventually(lambda: agent.status()["state"] == "running")
            blocked.kill()
            said, _ = recording.communicate()
    assert recording.returncode == 0
    assert said.startswith(f"measured  process {blocked.pid} (")
    assert max(map(cells, said.splitlines())) <= 80
    assert json.loads(file.read_text())["scope"]["pid"] == blocked.pid


def test_record_the_whole_machine_for_a_time(agent: RealAgent) -> None:
    done = finished(line("record", "--agent", agent.url, "--system", "--for", "500ms"))
    assert done.returncode == 0
    assert done.stdout.startswith("measured  the whole machine\ntime      ")
    assert "Verdict: " in done.stdout
    assert done.stderr == ""


def test_record_a_cgroup(agent: RealAgent) -> None:
    if mounted("cgroup2") is None:
        lacking("a hierarchy of cgroups v2")
    own = Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip() or "/"
    done = finished(line("record", "--agent", agent.url, "--cgroup", own, "--for", "0.2"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"measured  cgroup {own}")


def test_record_until_ctrl_c(agent: RealAgent) -> None:
    with on_terminal(line("record", "--agent", agent.url, "--system")) as terminal:
        eventually(lambda: agent.status()["state"] == "running")
        terminal.type(CTRL_C)
        shown = terminal.to_the_end()
    assert terminal.process.returncode == 0
    assert "measured  the whole machine" in shown
    assert not agent.status()["running"]


def test_record_a_process_that_is_not_there(agent: RealAgent) -> None:
    done = finished(line("record", "--agent", agent.url, "--pid", 2**22, "--for", "1"))
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert said.startswith("chainbench-agent record: the agent refused: ")
    assert "4194304" in said
