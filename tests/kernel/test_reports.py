"""Reports of what was really measured: of one run, and the story of the docs as it is written."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fakes.examples import examples, tried
from fakes.real_agent import running
from fakes.report_browser import SCHEMES, fits_any_screen

SLEEPS_S, STEPS = 4, 300
STORY = "../explanation/a-story.md"
HTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"


@pytest.mark.thorough
def test_one_run_over_time(tmp_path: Path, tool: Callable[[str], str]) -> None:
    """The command sleeps first and works then, and the table shows it."""
    pytest.importorskip("matplotlib")
    work = f"sleep {SLEEPS_S}; for n in $(seq {STEPS}); do sleep 0.005; done"
    with running() as agent:
        tried(
            f"chainbench-agent run --quiet --html report.html -- sh -c '{work}'",
            tmp_path,
            agent.url,
        )
    report = (tmp_path / "report.html").read_text()
    root = ElementTree.fromstring(report)
    [over_time] = [one for one in root.iter() if one.get("id") == "heat-runqlat-figure"]
    assert not over_time.findall(f".//{SVG}pattern")
    counts = {True: 0, False: 0}
    for row in over_time.findall(f".//{HTML}tbody/{HTML}tr"):
        ended, count = (" ".join(cell.itertext()) for cell in (row[0], row[1]))
        is_early = float(ended.split(" – ")[1].removesuffix(" s")) < SLEEPS_S
        counts[is_early] += int(count.replace(",", ""))
    # each of the steps waits for a CPU when it is born, and when its sleep ends
    assert counts[False] > STEPS > counts[True]
    for scheme in SCHEMES:
        fits_any_screen(tool("chromium"), report, scheme, tmp_path / scheme)


@pytest.mark.thorough
def test_the_story(tmp_path: Path, tool: Callable[[str], str]) -> None:
    pytest.importorskip("matplotlib")
    [program], [compare, again] = examples(STORY, "python"), examples(STORY, "sh")
    (tmp_path / "orders.py").write_text(program)
    fewer, replaced = re.subn(r"--runs \d+", "--runs 3", compare)
    assert replaced == 1
    with running() as agent:
        tried(fewer, tmp_path, agent.url)
        syncs = {
            run["side"]: run["evidence"]["syscall_counts"]["all"].get("fdatasync", 0)
            for run in json.loads((tmp_path / "orders.json").read_text())["runs"]
        }
        assert syncs["baseline"] >= 500 > 50 > syncs["optimized"]
        tried(again, tmp_path, agent.url)
    for report in ("orders.html", "again.html"):
        text = (tmp_path / report).read_text()
        ElementTree.fromstring(text)
        assert "blocked in fdatasync" in text
        for scheme in SCHEMES:
            fits_any_screen(tool("chromium"), text, scheme, tmp_path / f"{report}-{scheme}")
