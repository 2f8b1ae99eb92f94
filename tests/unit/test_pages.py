"""Every page: its links and the tests it names exist, its prose is wrapped, its examples run."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes.pages import BENCHMARKS, DOCS, ROOT, anchors, snippets
from fakes.sample_evidence import evidence

from agent.aggregate.histogram import LatencyHistogram

PAGES = sorted([*ROOT.glob("*.md"), *BENCHMARKS.glob("*.md"), *DOCS.rglob("*.md")])
COLUMNS = 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)|src(?:set)?=\"([^\"]+)\"", text):
        link = "".join(target)
        if link.startswith(("http:", "https:")):
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.relative_to(ROOT)}: {link} leads nowhere"
        assert not anchor or anchor in anchors(there), f"{page.relative_to(ROOT)}: no {link}"


def test_decisions_are_numbered_once() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == [*range(1, len(pages) + 1)]
    assert all(
        page.read_text().startswith(f"# {n}. ") for n, page in zip(numbers, pages, strict=True)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_tests_and_files_exist(page: Path) -> None:
    text = page.read_text()
    for file, test in re.findall(r"`(?:tests/)?([\w/]+\.py)::(\w+)`", text):
        source = ROOT / "tests" / file
        assert source.exists(), f"{page.relative_to(ROOT)}: there is no {file}"
        assert f"def {test}(" in source.read_text(), (
            f"{page.relative_to(ROOT)}: no {test} in {file}"
        )
    for file in re.findall(r"`((?:agent|benchmarks|tests|tools)/[\w/.-]+\.(?:py|c|h))`", text):
        assert (ROOT / file).exists(), f"{page.relative_to(ROOT)}: there is no {file}"


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that can be wrapped: no code, no rows of tables, no images."""
    is_code = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.startswith(("    ", "|", "![")):
            yield number, line


# RESULTS.md repeats messages of any length
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "RESULTS.md"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_prose_is_wrapped(page: Path) -> None:
    too_wide = [f"{page.relative_to(ROOT)}:{n}" for n, line in prose(page) if len(line) > COLUMNS]
    assert not too_wide


@pytest.fixture
def two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the saved evidence of two runs, as the guide expects it."""
    monkeypatch.chdir(tmp_path)
    for name, waits in (("baseline", (1_000, 3_000)), ("optimized", (500, 2_000))):
        histogram = LatencyHistogram()
        histogram.fold(np.array(waits, np.uint64))
        whole = evidence()
        whole["runqlat"]["hdr"] = histogram.encode()
        (tmp_path / f"{name}.json").write_text(json.dumps(whole))
    return tmp_path


@pytest.mark.usefixtures("two_runs")
def test_the_guide_to_comparing_runs_works(capsys: pytest.CaptureFixture[str]) -> None:
    merged = 0
    for number, snippet in enumerate(snippets(DOCS / "how-to/comparing-runs.md", "python")):
        file = Path(f"snippet{number}.py")
        file.write_text(snippet)
        merged = runpy.run_path(str(file)).get("both", merged)
    assert merged.total_count == 4
    assert "p99" in capsys.readouterr().out
