"""The plugin that pytest finds wherever this package is installed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import ended
from fakes.run_agent import RunAgent
from fakes.run_command import environment

TESTS = """
import sys

def test_one(benchmark):
    assert benchmark(sum, [1, 2]) == 3

def test_two(benchmark):
    assert benchmark.pedantic(sum, args=([1, 2],), rounds=2) == 3

def test_without_a_benchmark():
    pass
"""
QUICK = ("--benchmark-max-time=0", "--benchmark-min-rounds=1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_them.py").write_text(TESTS)
    return tmp_path


def pytest_in(folder: Path, *options: str, agent: str = "") -> "subprocess.CompletedProcess[str]":
    whole = environment(CHAINBENCH_AGENT=agent)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options],
        cwd=folder,
        # these tests may be those of a process of pytest-xdist, and benchmarks are disabled there
        env={name: value for name, value in whole.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )


def figures(folder: Path) -> list[Any]:
    benchmarks = json.loads((folder / "out.json").read_text())["benchmarks"]
    return [benchmark["extra_info"].get("chainbench") for benchmark in benchmarks]


def with_benchmarks(folder: Path, *options: str, agent: str) -> "subprocess.CompletedProcess[str]":
    pytest.importorskip("pytest_benchmark")
    return pytest_in(folder, *QUICK, "--benchmark-json=out.json", *options, agent=agent)


def test_each_benchmark_has_the_figures_of_a_run(agent: RunAgent, folder: Path) -> None:
    done = with_benchmarks(folder, "--chainbench", agent=agent.url)
    assert done.returncode == 0, done.stdout
    assert [one["exec_count"] for one in figures(folder)] == [12, 12]
    assert [one["verdict"] for one in figures(folder)] == ["degraded", "degraded"]
    assert agent.routes.count("POST /start") == agent.routes.count("POST /stop") == 2
    assert "chainbench" not in done.stdout


@pytest.mark.thorough
def test_unless_asked_for_nothing_is_measured_or_imported(agent: RunAgent, folder: Path) -> None:
    (folder / "conftest.py").write_text(
        "import sys\n"
        "def pytest_sessionfinish():\n"
        "    ours = [name for name in sys.modules if name.partition('.')[0] == 'agent']\n"
        "    print('\\nimported:', *ours)\n"
    )
    done = with_benchmarks(folder, "-s", agent=agent.url)
    assert done.returncode == 0, done.stdout
    assert figures(folder) == [None, None]
    assert agent.routes == []
    assert "\nimported: agent agent.plugins agent.plugins.pytest_benchmark\n" in done.stdout


@pytest.mark.thorough
def test_without_an_agent_the_tests_pass_and_a_line_says_why(folder: Path) -> None:
    (folder / "pytest.ini").write_text("[pytest]\nchainbench = true\nfilterwarnings = error\n")
    with ended() as gone:
        done = with_benchmarks(folder, agent=gone.url)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("chainbench: no evidence of 2 benchmarks: no answer from") == 1
    assert [one["verdict"] for one in figures(folder)] == ["none", "none"]


@pytest.mark.thorough
def test_a_benchmark_that_fails_fails_as_before(agent: RunAgent, folder: Path) -> None:
    (folder / "test_them.py").write_text("def test_it(benchmark):\n    benchmark(lambda: 1 / 0)\n")
    done = with_benchmarks(folder, "--chainbench", agent=agent.url)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout
    assert "agent/plugins" not in done.stdout
    assert agent.routes[-1] == "POST /stop"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-p", "no:benchmark"], "pip install pytest-benchmark"),
        (["--chainbench-agent", "nonsense"], "nonsense is not the URL of an agent"),
    ],
)
def test_what_it_cannot_do_is_a_usage_error(folder: Path, options: list[str], said: str) -> None:
    pytest.importorskip("pytest_benchmark")
    done = pytest_in(folder, "--chainbench", *options)
    assert done.returncode == 4
    assert said in done.stderr


@pytest.mark.thorough
def test_without_pytest_benchmark_nothing_changes(folder: Path) -> None:
    (folder / "test_them.py").write_text("def test_it():\n    pass\n")
    done = pytest_in(folder, "-p", "no:benchmark", "-W", "error")
    assert done.returncode == 0, done.stdout
