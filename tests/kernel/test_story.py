"""The story of the docs, as it is written, but with fewer runs."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fakes.examples import examples, tried
from fakes.real_agent import running

STORY = "../explanation/a-story.md"


@pytest.mark.thorough
def test_the_story(tmp_path: Path) -> None:
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
