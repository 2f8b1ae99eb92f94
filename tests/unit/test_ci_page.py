"""docs/how-to/ci.md: its workflow is valid, and the lines of its steps do what it says."""

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.pages import DOCS, snippets

from agent.client.interpreter import own_module

PAGE = DOCS / "how-to/ci.md"
NO_AGENT = "http://127.0.0.1:1"
"""A port on which nothing listens: the times alone decide here."""
FAST, SLOW = 1, 6
"""How often a benchmark sleeps. A busy machine delays each sleep, so the ratio stays the same."""


def workflow() -> dict[str, Any]:
    [text] = snippets(PAGE, "yaml")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def steps() -> Iterator[dict[str, Any]]:
    for step in workflow()["jobs"]["compare"]["steps"]:
        if "run" in step:
            yield step


def lines() -> list[str]:
    """Return the lines of the page that are to be typed."""
    return re.findall(r"^    (chainbench-agent .*)$", PAGE.read_text(), re.MULTILINE)


class Runner:
    """Runs the steps as a runner does: each by its own shell, and after a failure only some."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkout = folder / "checkout"
        self.summary = folder / "summary.md"
        self.comment = folder / "comment-on-the-pull-request.md"
        programs = folder / "bin"
        programs.mkdir()
        self.checkout.mkdir()
        agent = shlex.join(own_module("agent").command)
        _program(programs / "chainbench-agent", f'exec {agent} "$@"')
        # gh pr comment URL --body-file FILE
        _program(programs / "gh", f'test "$1 $2" = "pr comment" && cp "$5" {self.comment}')
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CHAINBENCH_AGENT": NO_AGENT,
            "XDG_STATE_HOME": str(folder / "state"),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "PULL_REQUEST": "https://git.example/pull/1",
            "LC_ALL": "C.UTF-8",
            **{f"GIT_{who}_{what}": "x@example" for who in WHO for what in ("NAME", "EMAIL")},
        }

    def commit(self, sleeps: int) -> str:
        """Commit a benchmark that sleeps so often; return the commit's id."""
        script = "#!/bin/sh\n" + "sleep 0.002\n" * sleeps
        (self.checkout / "benchmark.sh").write_text(script)
        (self.checkout / "Makefile").write_text("all:\n\tinstall benchmark.sh benchmark\n")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", f"{sleeps} sleeps")
        return self._git("rev-parse", "HEAD").strip()

    def begin(self) -> None:
        self._git("init", "--quiet")

    def run(self, job: Mapping[str, str]) -> dict[str, int]:
        """Run the steps; return the exit status of each that ran."""
        ended: dict[str, int] = {}
        for step in steps():
            if any(ended.values()) and "failure()" not in step.get("if", ""):
                continue
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=self.checkout,
                env={**self.environment, **job},
                check=False,
                capture_output=True,
            )
            ended[step["name"]] = done.returncode
        return ended

    def line(self, line: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a line of the page where the job runs."""
        return subprocess.run(
            ["bash", "-e", "-c", line],
            cwd=self.checkout,
            env={**self.environment, **variables},
            check=False,
            capture_output=True,
            text=True,
        )

    def clean(self) -> None:
        """Remove what git does not know, as actions/checkout does on a machine of one's own."""
        self._git("clean", "-ffdx")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.checkout,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout


WHO = ("AUTHOR", "COMMITTER")


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    runner = Runner(tmp_path)
    runner.begin()
    return runner


@pytest.mark.thorough
def test_a_slower_commit_fails_the_job_and_is_commented(runner: Runner) -> None:
    job = {"BASE": runner.commit(FAST), "HEAD": runner.commit(SLOW)}
    assert runner.run(job) == {
        "Build both commits": 0,
        "Run both in turn": 0,
        "Compare": 2,
        "Comment": 0,
    }
    comment = runner.comment.read_text()
    assert comment == runner.summary.read_text()
    assert "more time (95 % interval" in comment
    assert "| command | `baseline/benchmark` | `optimized/benchmark` |" in comment


@pytest.mark.thorough
def test_a_faster_commit_passes_also_where_a_job_has_run_before(runner: Runner) -> None:
    job = {"BASE": runner.commit(SLOW), "HEAD": runner.commit(FAST)}
    for _ in range(2):
        assert set(runner.run(job).values()) == {0}
        assert "less time (95 % interval" in runner.comment.read_text()
        runner.clean()


@pytest.mark.thorough
def test_the_other_lines_do_what_the_page_says(runner: Runner) -> None:
    release, head = (runner.commit(sleeps) for sleeps in (FAST, SLOW))
    subprocess.run(["make"], cwd=runner.checkout, check=True, capture_output=True)
    floor, equals, nightly, both = lines()
    assert runner.line(floor).returncode == 0
    assert "19 of 20 random splits" in " ".join(runner.line(equals).stdout.split())
    for commit in (release, head):
        assert runner.line(nightly, HEAD=commit).returncode == 0
    done = runner.line(both, RELEASE=release, HEAD=head)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "n=20+20" in said
    assert "one side was run after the other" in said


def test_the_job_may_only_what_it_needs() -> None:
    assert workflow()["permissions"] == {"contents": "read", "pull-requests": "write"}
    job = workflow()["jobs"]["compare"]
    assert {"BASE", "HEAD", "PULL_REQUEST"} <= set(job["env"])
    for step in steps():
        assert "${{" not in step["run"], "what a pull request names is never part of a script"
