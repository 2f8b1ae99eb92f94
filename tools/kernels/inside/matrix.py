"""A short run with each combination of choices, around work of which it must see something."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.sections.probes import DETAILS, SCOPED_DETAILS, SECTIONS
from tools.kernels.inside import workload
from tools.kernels.inside.agents import agent, in_short, timed_start
from tools.kernels.inside.choices import Choice, every, half
from tools.kernels.inside.news import say

CGROUP = Path("/sys/fs/cgroup/matrix")


def run(results: Path) -> list[dict[str, Any]]:
    """Return what came of each run of `half`."""
    return _run(half(), results)


def run_all(results: Path) -> list[dict[str, Any]]:
    """Return what came of each run of `every`."""
    return _run(every(), results)


def _run(choices: Sequence[Choice], results: Path) -> list[dict[str, Any]]:
    rows = []
    CGROUP.mkdir(exist_ok=True)
    with agent(results / "agent-matrix.log") as client:
        for number, choice in enumerate(choices, 1):
            row = {**asdict(choice), **_one(client, choice, results / f"matrix-{number}.json")}
            rows.append(row)
            (results / "matrix.json").write_text(json.dumps(rows))
            say(f"matrix {number} of {len(choices)}: {_in_a_line(row)}")
    return rows


def _in_a_line(row: dict[str, Any]) -> str:
    choice = ", ".join(row[field.name] for field in fields(Choice))
    came = row.get("error") or row["reason"] or row["verdict"]
    lacks = [*row.get("unavailable", {}), *row.get("missed", [])]
    return f"{choice}: {came}" + (f"; lacks {', '.join(lacks)}" if lacks else "")


def _one(client: AgentClient, choice: Choice, file: Path) -> dict[str, Any]:
    try:
        with _waiting_work() as work:
            started = timed_start(client, body(choice, work.pid))
            _do(work)
            evidence = client.post("/stop")
    except (AgentRefused, AgentUnreachable) as error:
        return {"error": str(error)}
    file.write_text(json.dumps(evidence))
    came = in_short(evidence, SECTIONS)
    unavailable = {**came["unavailable"], **without_wall(evidence)}
    return {"start_s": started, **came, "unavailable": unavailable, "missed": missed(evidence)}


def body(choice: Choice, pid: int) -> dict[str, Any]:
    """Return the request that starts a run about a process."""
    details: list[str] = []
    if choice.details == "all":
        details = [d for d in DETAILS if choice.scope != "system" or d not in SCOPED_DETAILS]
    scopes = {"system": "system", "pid": {"pid": pid}, "cgroup": {"cgroup": f"/{CGROUP.name}"}}
    return {
        "scenario": "matrix",
        "sections": list(SECTIONS),
        "timing": choice.timing,
        "transport": choice.transport,
        "scope": scopes[choice.scope],
        "details": details,
    }


def missed(evidence: dict[str, Any]) -> list[str]:
    """Return what the workload did and the sections that were measured have not seen."""
    expected = {
        "runqlat": ("count", 1),
        "biolatency": ("count", 1),
        "offcpu": ("total_ms", workload.SLEEP_S * 1000 * 0.9),
        "exec": ("exec_count", workload.EXECS),
        "syscall_counts": ("fsync", workload.FSYNCS),
    }
    return [
        f"{section}.{field} is {evidence[section].get(field)}, not {least:g} or more"
        for section, (field, least) in expected.items()
        if section in evidence and not (evidence[section].get(field) or 0) >= least
    ]


def without_wall(evidence: dict[str, Any]) -> dict[str, str]:
    """Return why the wall time of a scope is not divided, by its name; it is no section."""
    wall = evidence.get("wall", {})
    if evidence["scope"]["kind"] == "system" or wall.get("available"):
        return {}
    return {"wall": wall.get("reason") or ""}


@contextlib.contextmanager
def _waiting_work() -> Iterator["subprocess.Popen[str]"]:
    """Start the workload in the cgroup; it waits for a line."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", workload.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        (CGROUP / "cgroup.procs").write_text(str(process.pid))
        _hear(process)
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _do(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    _hear(process)


def _hear(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"the workload ended with {process.wait()}")
