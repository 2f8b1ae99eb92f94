"""The how-to pages for other people's tools: their examples, as written, with the real tools."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.examples import AGENTS, examples, tried
from fakes.real_agent import RealAgent, running


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "agent.sock"


@pytest.fixture(scope="module")
def agent(socket: Path) -> Iterator[RealAgent]:
    with running(["--socket", str(socket)]) as agent:
        yield agent


def evidence(file: Path) -> Any:
    found = json.loads(file.read_text())
    assert found["available"]
    assert found["completeness"]["verdict"] in ("complete", "degraded")
    return found


@pytest.mark.thorough
def test_from_python(agent: RealAgent, tmp_path: Path) -> None:
    plain, in_trio, arguments = examples("from-python.md", "python")
    (tmp_path / "plain.py").write_text(plain)
    verdict, computing = tried("python -W error plain.py", tmp_path, agent.url).split()
    assert verdict in ("complete", "degraded")
    assert float(computing) > 0
    (tmp_path / "in_trio.py").write_text(in_trio)
    assert tried("python -W error in_trio.py", tmp_path, agent.url) == "True\n"
    save = "import json\nwith open('e.json', 'w') as file:\n    json.dump(run.evidence, file)\n"
    (tmp_path / "arguments.py").write_text(f"{arguments}\n{save}")
    tried("python -W error arguments.py", tmp_path, agent.url)
    measured = evidence(tmp_path / "e.json")
    assert "runqlat" in measured
    assert "exec" not in measured
    kept = "chainbench-agent show e.json; chainbench-agent runs import e.json"
    assert "1 run imported" in tried(kept, tmp_path, agent.url)


def test_from_a_shell(
    agent: RealAgent, socket: Path, tool: Callable[[str], str], tmp_path: Path
) -> None:
    tool("curl")
    measure, read, keep, _, over_socket = examples("from-a-shell.md", "sh")
    assert tried(measure, tmp_path, agent.url) == ""
    commands = evidence(tmp_path / "baseline.json")["exec"]["top_commands"]
    assert {"tar", "gzip"} <= {row["command"] for row in commands}
    shown = tried(read, tmp_path, agent.url)
    assert "Verdict: " in shown
    assert "ms blocked" in shown
    run_id = evidence(tmp_path / "baseline.json")["run_id"]
    assert run_id[:8] in tried(keep, tmp_path, agent.url).splitlines()[-1]
    own = over_socket.replace("/run/chainbench-agent/agent.sock", str(socket))
    assert own != over_socket
    tried(own, tmp_path, agent.url)
    assert evidence(tmp_path / "evidence.json")["scope"]["kind"] == "pid"


@pytest.mark.thorough
def test_two_versions_from_a_shell(agent: RealAgent, tmp_path: Path) -> None:
    in_turn = examples("from-a-shell.md", "sh")[3]
    said = tried(in_turn, tmp_path, agent.url)
    assert said.count("1 run imported") == 16
    assert "n=8+8" in said
    assert "timed by  the wall time in the evidence" in said


@pytest.mark.thorough
def test_hyperfine(agent: RealAgent, tool: Callable[[str], str], tmp_path: Path) -> None:
    for name in ("hyperfine", "curl"):
        tool(name)
    together, each_run, one_by_one = examples("hyperfine.md", "sh")
    [times] = examples("hyperfine.md", "python")
    assert "Verdict: " in tried(together, tmp_path, agent.url)
    all_runs = evidence(tmp_path / "evidence.json")
    executed = {row["command"]: row["count"] for row in all_runs["exec"]["top_commands"]}
    assert executed["gzip"] == 12, "two to warm up, and ten"
    (tmp_path / "evidence.json").unlink()
    (tmp_path / "each-run.sh").write_text(AGENTS.sub(agent.url, each_run))
    tried(one_by_one, tmp_path, agent.url)
    for number in range(10):
        one = evidence(tmp_path / f"evidence-{number}.json")
        executed = {row["command"]: row["count"] for row in one["exec"]["top_commands"]}
        assert executed["gzip"] == 1
    assert not agent.status()["running"]
    (tmp_path / "times.py").write_text(times)
    lines = tried("python times.py", tmp_path, agent.url).splitlines()
    assert len(lines) == 10


@pytest.mark.thorough
def test_pyperf(agent: RealAgent, tmp_path: Path) -> None:
    pyperf = pytest.importorskip("pyperf")
    [bench] = examples("pyperf.md", "python")
    by_default, named = examples("pyperf.md", "sh")
    (tmp_path / "bench.py").write_text(bench)
    by_default = by_default.replace(" -o", " --inherit-environ CHAINBENCH_AGENT -o")
    assert "chainbench_verdict" in tried(by_default, tmp_path, agent.url)
    check_metadata(pyperf.BenchmarkSuite.load(str(tmp_path / "bench.json")), 3)
    (tmp_path / "bench.json").unlink()
    tried(named.replace("-o", "--processes 2 --values 2 -o"), tmp_path, agent.url)
    check_metadata(pyperf.BenchmarkSuite.load(str(tmp_path / "bench.json")), 2)


def check_metadata(suite: Any, values: int) -> None:
    [benchmark] = suite
    runs = [run for run in benchmark.get_runs() if run.values]
    assert runs
    for run in runs:
        metadata = run.get_metadata()
        assert metadata["chainbench_verdict"] in ("complete", "degraded")
        assert metadata["chainbench_runs"] == values
        states = [
            value
            for name, value in metadata.items()
            if name.startswith("chainbench_wall_") and name != "chainbench_wall_ms"
        ]
        assert sum(states) == pytest.approx(metadata["chainbench_wall_ms"], abs=0.01)


@pytest.mark.thorough
def test_pyperf_runs_a_command(agent: RealAgent, tmp_path: Path) -> None:
    pyperf = pytest.importorskip("pyperf")
    tried(
        "python -m pyperf command --hook chainbench --inherit-environ CHAINBENCH_AGENT"
        " --processes 2 --values 2 -o bench.json -- gzip -6 -c /bin/bash",
        tmp_path,
        agent.url,
    )
    [benchmark] = pyperf.BenchmarkSuite.load(str(tmp_path / "bench.json"))
    runs = [run for run in benchmark.get_runs() if run.values]
    assert runs
    for run in runs:
        assert run.get_metadata()["chainbench_exec_count"] >= 1


@pytest.mark.thorough
def test_pytest_benchmark(agent: RealAgent, tmp_path: Path) -> None:
    pytest.importorskip("pytest_benchmark")
    [test] = examples("pytest-benchmark.md", "python")
    [command] = examples("pytest-benchmark.md", "sh")
    (tmp_path / "test_sort.py").write_text(test)
    said = tried(
        command.replace("--chain", "--benchmark-max-time 0.1 --chain"), tmp_path, agent.url
    )
    assert "1 passed" in said
    assert "no evidence" not in said
    [benchmark] = json.loads((tmp_path / "bench.json").read_text())["benchmarks"]
    figures = benchmark["extra_info"]["chainbench"]
    assert figures["verdict"] in ("complete", "degraded")
    assert 0 < figures["block_ms"] < figures["wall_ms"]


@pytest.mark.thorough
def test_asv(agent: RealAgent, tmp_path: Path) -> None:
    pytest.importorskip("asv")
    (tmp_path / "benchmarks").mkdir()
    [benchmarks] = examples("asv.md", "python")
    [configuration] = examples("asv.md", "json")
    [commands] = examples("asv.md", "sh")
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "sorting.py").write_text(benchmarks)
    (tmp_path / "asv.conf.json").write_text(configuration)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x", "-C", str(tmp_path)]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True)
    said = tried(f"export HOME=$PWD\n{commands}", tmp_path, agent.url)
    assert "sorting.time_sort" in said
    for figure in ("track_system_calls", "track_waiting_for_cpu"):
        assert re.search(rf"sorting\.{figure} +\d", said), said
    without = tried(f"export HOME=$PWD\n{commands}", tmp_path, "http://127.0.0.1:1")
    assert re.search(r"sorting\.track_system_calls +n/a", without), without
    assert re.search(r"sorting\.time_sort +\d", without), without
