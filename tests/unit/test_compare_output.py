"""`compare` as a command: the forms of its report, and where it goes."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from fakes.compare_command import NEW, OLD, ended, keep, saved
from fakes.groups import pairs_document
from fakes.terminals import on_terminal

from agent.cli import main
from agent.client.interpreter import own_module
from agent.terminal.width import cells

pytestmark = pytest.mark.usefixtures("state_home")


@pytest.fixture
def faster(tmp_path: Path) -> str:
    return saved(tmp_path, "faster.json", pairs_document(OLD, NEW))


def test_json_holds_everything(faster: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, printed, _ = ended([faster, "--json"], capsys)
    document = json.loads(printed)
    assert document["comparison"]["outcome"] == "smaller"
    assert len(document["runs"]) == 20
    assert document["compared"]["selected"] == {"baseline": faster, "optimized": faster}
    evidence = document["evidence"]
    assert evidence["available"] is True
    bars = [evidence["runqlat"][f"{side}_hist"] for side in ("baseline", "optimized")]
    assert [row["bucket_us"] for row in bars[0]] == [row["bucket_us"] for row in bars[1]]


def test_json_is_for_strict_readers_whatever_the_evidence_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = pairs_document(OLD, NEW)
    document["runs"][0]["evidence"]["odd"] = float("nan")
    keep(document)  # as earlier versions did
    status, printed, _ = ended(["last", "--json"], capsys)
    assert status == 0
    constants: list[str] = []
    read = json.loads(printed, parse_constant=constants.append)
    assert constants == []
    assert read["runs"][0]["evidence"]["odd"] is None


def test_json_is_read_again(
    faster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, first, _ = ended([faster, "--json"], capsys)
    again = saved(tmp_path, "again.json", json.loads(first))
    assert main(["show", again]) == 0
    assert capsys.readouterr().out.startswith("optimized takes 10")
    _, second, _ = ended([again, "--json"], capsys)
    assert json.loads(second)["comparison"] == json.loads(first)["comparison"]


def test_markdown_for_a_pull_request(
    faster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "comment.md"
    status, printed, said = ended([faster, "--markdown", "--output", str(file)], capsys)
    assert (status, printed, said) == (0, "", "")
    assert file.read_text().startswith("**optimized takes 10")
    assert "| command | `./baseline` | `./optimized` |" in file.read_text()


def test_a_file_has_80_columns_and_no_color(
    faster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    file = tmp_path / "report.txt"
    assert ended([faster, "--output", str(file)], capsys) == (0, "", "")
    assert max(map(cells, file.read_text().splitlines())) <= 80
    assert "\x1b" not in file.read_text()


def test_pictures_need_a_library_that_is_named_before_anything_is_compared(
    faster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.compare.command.cannot_draw", lambda: "pip install what is missing")
    file = tmp_path / "report.html"
    status, printed, said = ended([faster, "--html", str(file)], capsys)
    assert (status, printed) == (1, "")
    assert said == "chainbench-agent compare: pip install what is missing\n"
    assert not file.exists()


@pytest.mark.thorough
def test_pictures_are_saved_next_to_the_report(
    faster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.html"
    status, printed, said = ended([faster, "--html", str(file)], capsys)
    assert (status, said) == (0, "")
    assert printed.startswith("optimized takes 10")
    assert "ptimized takes 10" in file.read_text()


def test_what_is_read_is_not_written_over_nor_one_file_twice(
    faster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(faster).read_text()
    twice = str(tmp_path / "twice")
    for options in (["--output", faster], ["--output", twice, "--html", twice]):
        status, _, said = ended([faster, *options], capsys)
        assert (status, "it is also read, or written to by another option" in said) == (1, True)
    assert Path(faster).read_text() == before
    assert not Path(twice).exists()


def test_hostile_labels_and_commands_are_made_printable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"labels": {"variant": "\x1b[2J\u202e", "machine": "\x07"}}
    document = pairs_document(OLD, NEW, **labels)
    for run in document["runs"]:
        run["command"]["arguments"] = ["./\x1b]0;title\x07", "`x`", "<script>", "|", "@someone"]
    name = saved(tmp_path, "hostile.json", document)
    for options in ([], ["--all"], ["--markdown"]):
        printed = ended([name, *options], capsys)[1]
        assert all(c.isprintable() or c == "\n" for c in printed)


# --- real processes and terminals


def command(*arguments: str) -> list[str]:
    return list(own_module("agent", "compare", *arguments).command)


def test_files_are_compared_by_a_python_without_sqlite(faster: str) -> None:
    code = "import sys; sys.modules['sqlite3'] = None; from agent.cli import main; sys.exit(main())"
    words = [command()[0], "-c", code]
    done = subprocess.run([*words, "compare", faster], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("optimized takes 10")
    for arguments in (["compare", "last"], ["runs", "list"]):
        done = subprocess.run([*words, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert ": this Python cannot " in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_nothing_wraps_on_a_terminal(faster: str, columns: int) -> None:
    variables = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    variables.pop("NO_COLOR", None)
    with on_terminal(command(faster), variables, columns) as terminal:
        text = terminal.to_the_end()
        assert terminal.process.returncode == 0
    assert max(map(cells, text.splitlines())) <= columns
    assert "\x1b[32m" in text


@pytest.mark.thorough
def test_a_pipe_that_is_closed_ends_it_quietly(faster: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command(faster), stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.thorough
def test_a_full_disk_is_an_error(faster: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command(faster), stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"cannot write the output: No space left on device" in done.stderr
    to_file = subprocess.run(
        command(faster, "--output", "/dev/full", "--fail-if-slower", "3%"),
        capture_output=True,
        check=False,
    )
    assert to_file.returncode == 1
    assert b"cannot write /dev/full: No space left on device" in to_file.stderr
