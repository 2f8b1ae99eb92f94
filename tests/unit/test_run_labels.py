"""The label that ``run`` finds out by itself: the commit of a git tree."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fakes.processes import command_of, state_of
from fakes.run_agent import RunAgent
from fakes.run_command import finished
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent import call_filter
from agent.client.isolation import PACKAGE_FOLDER
from agent.model import Labels
from agent.run import labels
from agent.run.labels import CommitHere
from agent.words import LABEL_NAMES

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

IDENTITY = ["-c", "user.name=x", "-c", "user.email=x@example.org"]

WAITS_FOR_GIT = f"""
import sys
sys.path.append(sys.argv[1])
from agent.client import run_module
from agent.run import labels

labels.PATIENCE_S = {PATIENCE_SECONDS}
run_module.main()
"""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git is waited for, however busy the machine is."""
    monkeypatch.setattr(labels, "PATIENCE_S", PATIENCE_SECONDS)


def git(tree: Path, *arguments: str) -> str:
    command = ["git", *IDENTITY, *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a git tree with one commit, of which one file is tracked."""
    if not git(tmp_path, "init", "-q") and not (tmp_path / ".git").exists():
        pytest.fail("git made no tree")
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "tag", "v1")
    return tmp_path


def started(agent: RunAgent, cwd: Path, *options: object) -> Any:
    """Run a command in a directory, and return the body of the start."""
    words = ("agent", "run", "--agent", agent.url, *map(str, options), "--", "true")
    command = [sys.executable, "-ISc", WAITS_FOR_GIT, PACKAGE_FOLDER, *words]
    done = finished(command, cwd=cwd)
    assert done.returncode == 0, done.stderr
    [start] = [request for request in agent.requests if request.route == "POST /start"]
    return json.loads(start.body)


def test_the_commit_of_a_tree(agent: RunAgent, tree: Path) -> None:
    (tree / "untracked").touch()
    folder = tree / "a/b"
    folder.mkdir(parents=True)
    assert started(agent, folder)["commit"] == git(tree, "rev-parse", "HEAD").strip()


def test_a_tree_that_differs_says_so(agent: RunAgent, tree: Path) -> None:
    (tree / "file").write_text("b")
    assert started(agent, tree)["commit"] == git(tree, "rev-parse", "HEAD").strip() + "-dirty"


def in_a_submodule(tree: Path) -> Path:
    """Return a tree with this one as a submodule, and make an untracked file in that."""
    above = tree / "above"
    above.mkdir()
    git(above, "init", "-q")
    git(above, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tree), "sub")
    git(above, "commit", "-qm", "one")
    (above / "sub/untracked").touch()
    return above


def test_what_git_does_not_know_makes_no_difference(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what a submodule has changed: git would look there by the submodule's configuration."""
    monkeypatch.chdir(in_a_submodule(tree))
    assert len(CommitHere().answer()) == 40
    Path("sub/file").write_text("b")
    assert len(CommitHere().answer()) == 40
    git(Path("sub"), "commit", "-qam", "two")
    assert CommitHere().answer().endswith("-dirty")


@pytest.mark.parametrize("how", ["staged", "added", "removed", "many", "upstream"])
def test_any_change_makes_a_difference(
    tree: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """However much git has to say about it, and about what else."""
    monkeypatch.chdir(tree)
    if how == "upstream":
        git(tree, "branch", "other")
        git(tree, "branch", "--set-upstream-to", "other")
        git(tree, "commit", "-q", "--allow-empty", "-m", "two")
        assert len(CommitHere().answer()) == 40
    if how == "removed":
        (tree / "file").unlink()
    elif how == "added":
        (tree / "new").touch()
        git(tree, "add", "--intent-to-add", "new")
    elif how == "many":
        for number in range(400):
            (tree / f"{number}-{'x' * 100}").touch()
        git(tree, "add", ".")
    else:
        (tree / "file").write_text("b")
        git(tree, "add", "file")
    assert CommitHere().answer() == git(tree, "rev-parse", "HEAD").strip() + "-dirty"


@pytest.mark.parametrize("given", ["mine", ""])
def test_what_is_given_is_taken(agent: RunAgent, tree: Path, given: str) -> None:
    assert started(agent, tree, "--commit", given)["commit"] == given


def test_nothing_outside_of_a_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: RunAgent
) -> None:
    assert "commit" not in started(agent, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").write_text("gitdir: /no/such\n")
    assert CommitHere().answer() == ""


def test_nothing_before_the_first_commit_and_without_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    assert CommitHere().answer() == ""
    (tmp_path / "file").touch()
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "one")
    assert len(CommitHere().answer()) == 40
    monkeypatch.setenv("PATH", str(tmp_path))
    assert CommitHere().answer() == ""


def test_the_callers_variables_of_git_choose_no_tree(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    monkeypatch.setenv("GIT_DIR", "/no/such")
    assert len(CommitHere().answer()) == 40


def test_children_that_are_not_waited_for(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ignores SIGCHLD starts commands that ignore it too."""
    monkeypatch.chdir(tree)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert len(CommitHere().answer()) == 40
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


def with_hook(tree: Path) -> Path:
    """Have the tree's configuration name a command; return the file that it would make."""
    seen, hook = tree / "seen", tree / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {seen}\nexit 1\n")
    hook.chmod(0o755)
    git(tree, "config", "core.fsmonitor", str(hook))
    return seen


def test_no_command_of_the_trees_configuration_runs(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = with_hook(tree)
    monkeypatch.chdir(tree)
    assert len(CommitHere().answer()) == 40
    assert not seen.exists()


def with_filter(tree: Path, seen: Path) -> None:
    """Configure a filter: a command that git runs on a file that was touched."""
    (tree / ".gitattributes").write_text("* filter=x\n")
    git(tree, "config", "filter.x.clean", f"touch {seen}; cat")
    os.utime(tree / "file", (1, 1))


@pytest.mark.parametrize("where", ["here", "hidden", "submodule"])
def test_no_filter_runs(tree: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Neither the tree's own, nor a submodule's, nor that of a bare tree that a clone may have."""
    folder, looked_at = tree, tree
    if where == "submodule":
        folder = in_a_submodule(tree)
        looked_at = folder / "sub"
    with_filter(looked_at, tree / "seen")
    if where == "hidden":
        folder = tree / "bench"
        shutil.copytree(tree / ".git", folder)
        git(folder, "config", "core.bare", "false")
        git(folder, "config", "core.worktree", str(tree))
    git(looked_at, "status")
    assert (tree / "seen").exists()
    (tree / "seen").unlink()
    os.utime(looked_at / "file", (2, 2))
    monkeypatch.chdir(folder)
    assert CommitHere().answer().removesuffix("-dirty") in {
        "",
        git(folder, "rev-parse", "HEAD").strip(),
    }
    assert not (tree / "seen").exists()


def test_where_the_kernel_refuses_git_nothing_it_is_not_run(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    monkeypatch.setattr(call_filter, "install", lambda machine, refused: "Invalid argument")
    assert CommitHere().answer() == ""


def test_git_ends_with_us(tree: Path) -> None:
    """Whatever ends us while it is still looking."""
    os.mkfifo(tree / ".git/more")
    with (tree / ".git/config").open("a") as config:
        config.write("[include]\n\tpath = more\n")
    code = (
        "import os, signal, sys; sys.path.append(sys.argv[1]);"
        "from agent.run.labels import CommitHere;"
        "print(CommitHere().git, flush=True); signal.pause()"
    )
    command = [sys.executable, "-I", "-c", code, PACKAGE_FOLDER]
    with subprocess.Popen(command, cwd=tree, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        try:
            child = int(asking.stdout.readline())
            eventually(lambda: command_of(child).startswith("git "))
        finally:
            asking.kill()
    eventually(lambda: not state_of(child))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("given", [".", ".git", "folder"])
def test_root_asks_nothing_about_another_users_tree(
    tree: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (tree / "folder").mkdir()
    os.chown(tree / given, 65534, 65534)
    monkeypatch.chdir(tree / "folder")
    monkeypatch.setattr(labels, "_ask", lambda: pytest.fail("git was asked"))
    assert CommitHere().answer() == ""


def test_a_git_of_this_directory_is_not_run(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "git").write_text(f"#!/bin/sh\ntouch {tree}/seen\n")
    (tree / "git").chmod(0o755)
    monkeypatch.chdir(tree)
    monkeypatch.setenv("PATH", f":.:{os.environ['PATH']}")
    assert len(CommitHere().answer()) == 40
    assert not (tree / "seen").exists()


def has_been_waited_for(commit: CommitHere) -> bool:
    """Return whether git is no child of this process any more: it has ended."""
    assert commit.git is not None
    try:
        os.waitpid(commit.git, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def test_a_git_that_says_too_much_is_ended(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "git").write_text(f"#!/bin/sh\necho $$ > {folder}/left\nexec yes\n")
    (folder / "git").chmod(0o755)
    monkeypatch.chdir(tree)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    commit = CommitHere()
    assert commit.answer() == ""
    assert int((folder / "left").read_text()) == commit.git
    assert has_been_waited_for(commit)


def test_a_client_knows_the_names_of_all_labels() -> None:
    assert tuple(field.name for field in fields(Labels)) == LABEL_NAMES


def test_a_git_that_does_not_answer_is_not_waited_for(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    slow = tree / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tree}:{os.environ['PATH']}")
    monkeypatch.setattr(labels, "PATIENCE_S", 0.1)
    commit = CommitHere()
    assert commit.git is not None
    assert commit.answer() == ""
    assert has_been_waited_for(commit)
