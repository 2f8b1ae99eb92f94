"""What reads saved evidence and kept runs starts where nothing is that only Linux has.

Simulated by `fakes.elsewhere` on Linux: no real macOS has been tried.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import elsewhere
from fakes.groups import pairs_document
from fakes.imports import reachable
from fakes.run_command import environment
from fakes.sample_evidence import evidence

OLD = [100.0, 101.5, 99.2, 100.7, 101.1, 99.6, 100.3, 98.9, 101.8, 100.1]
NEW = [ms * 0.9 for ms in OLD]

READERS = {
    "help": ([["--help"]], "chainbench-agent"),
    "show": ([["show", "evidence.json"]], "Verdict: "),
    "compare": ([["compare", "series.json"]], "optimized takes"),
    "markdown": ([["compare", "series.json", "--markdown"]], "optimized takes"),
    "runs": ([["runs", "import", "series.json"], ["runs", "list"]], "100 ms, 90.2 ms"),
    "kept": ([["runs", "import", "evidence.json"], ["runs", "show", "last"]], "Verdict: "),
    "kept pairs": ([["runs", "import", "series.json"], ["compare", "last"]], "optimized takes"),
    "config": ([["config"]], "port = "),
}
"""By name: command lines, one after the other, and what the last one prints."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evidence.json").write_text(json.dumps(evidence()))
    (tmp_path / "series.json").write_text(json.dumps(pairs_document(OLD, NEW)))
    return tmp_path


def there(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command line in a folder of a machine that is no Linux."""
    return subprocess.run(
        [sys.executable, elsewhere.__file__, *arguments],
        cwd=folder,
        env=environment(XDG_STATE_HOME=str(folder / "state")),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.thorough(but="compare")
@pytest.mark.parametrize("name", READERS)
def test_a_reader_needs_nothing_that_only_linux_has(name: str, folder: Path) -> None:
    lines, printed = READERS[name]
    for line in lines:
        done = there(folder, *line)
        assert (done.returncode, done.stderr) == (0, "")
    assert printed in done.stdout


@pytest.mark.thorough
def test_a_report_needs_nothing_that_only_linux_has(folder: Path) -> None:
    done = there(folder, "compare", "series.json", "--html", "report.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert "</html>" in (folder / "report.html").read_text()


def test_doctor_says_that_collection_needs_linux(folder: Path) -> None:
    done = there(folder, "doctor", "--json", "--port", "0", "--socket", f"{folder}/socket")
    found = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    assert (done.returncode, done.stderr) == (1, "")
    assert found["linux"]["state"] == "failed"
    assert "eBPF needs Linux; this is Darwin" in found["linux"]["text"]
    assert found["socket"]["state"] == "failed", "serve refuses it too"
    assert found["port"]["state"] == "ok", "--mock could be served"


@pytest.mark.parametrize(
    "module", ["agent.show.command", "agent.compare.command", "agent.runs.commands", "agent.client"]
)
def test_a_reader_imports_nothing_that_speaks_to_a_kernel(module: str) -> None:
    found = reachable(module)
    imported = {name for names in found.values() for name in names} | {*found}
    for of_linux in elsewhere.LINUX_SIDE:
        assert not [n for n in imported if n == of_linux or n.startswith(f"{of_linux}.")]
