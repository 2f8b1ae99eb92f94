"""Figures in the pages are those that were measured, and sample output is real."""

import re
from collections.abc import Iterator

import pytest
from fakes.pages import BENCHMARKS, DOCS, ROOT, rows

from benchmarks import kept
from benchmarks.pages import page

SAMPLE = DOCS / "reference/sample-output.md"


def test_the_readmes_figures_are_those_of_the_last_run_on_the_machine_that_it_names() -> None:
    measured = {
        (kept.make(result.machine), f"{found.middle:.3f}", f"{found.low:.3f} – {found.high:.3f}")
        for kind in (kept.FULL, kept.TARGETS)
        for result in kept.results(kind).values()
        for workload in result.workloads
        for found in (configuration.estimate() for configuration in workload.measured)
    }
    shown = list(slowdowns_of_the_readme())
    assert len(shown) > 15
    assert set(shown) <= measured


def slowdowns_of_the_readme() -> Iterator[tuple[str, str, str]]:
    """Yield the make that each table of slowdowns names, a slowdown, and its interval."""
    make = ""
    for line in (ROOT / "README.md").read_text().splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[1].endswith("slowdown"):
            make = cells[1].partition(":")[0]
        elif not line.startswith("|"):
            make = ""
        elif make and set(cells[1]) != {"-"}:
            yield make, cells[1], cells[2]


def test_the_page_of_results_is_made_of_what_was_measured() -> None:
    assert (BENCHMARKS / "RESULTS.md").read_text() == page()


def test_the_readmes_excerpt_is_of_the_sample_output() -> None:
    """Both are real output: the lines of the excerpt, in the order of the whole."""
    excerpt = (ROOT / "README.md").read_text().split("```\n")[1].splitlines()
    whole = iter(SAMPLE.read_text().splitlines())
    missing = [line for line in excerpt if line != "[…]" and line not in whole]
    assert not missing


FIRST_SCREEN = 40
"""Lines that a reader sees without scrolling."""


def test_the_readme_begins_with_the_problem_and_a_real_answer() -> None:
    """A question in bold, the command, at most 20 lines of answer, and what one asks next."""
    first, _, _ = (ROOT / "README.md").read_text().partition("\n![")
    assert len(first.splitlines()) < FIRST_SCREEN
    _, problem, command, answer, _, next_asked, *_ = first.split("\n\n")
    assert re.match(r"\*\*[^*]+\?\*\* ", problem)
    assert command.startswith("    sudo chainbench-agent run ")
    assert answer.startswith("    optimized takes ")
    assert len(answer.splitlines()) <= 20
    assert re.findall(r"^\* \*\*([\w ]+)\*\*", next_asked, re.MULTILINE) == [
        *("What it measures", "It checks itself", "What it costs", "How it is isolated"),
        "What it needs",
    ]
    assert "[What was tested](#kernels-tested)" in next_asked


def test_the_documented_growth_is_the_measured_one() -> None:
    [figures] = [part.figures for part in kept.parts() if kept.make(part.machine) == "AMD"]
    page = DOCS / "explanation" / "scaling.md"
    for rate, ns, _ in rows(page, "With the rate of events"):
        measured = figures[f"userspace_ns_per_event_at_{rate.replace(',', '')}"]
        assert float(ns) == pytest.approx(measured, abs=0.05)
    memory = {
        "idle": "pss_idle_mb",
        "during a run": "pss_running_mb",
        "1,000 tasks tracked": "pss_mb_with_1000_tasks",
        "1 label set in `/metrics`": "pss_mb_with_1_label_sets",
        "10 label sets": "pss_mb_with_10_label_sets",
        "100 label sets": "pss_mb_with_100_label_sets",
    }
    for what, documented in rows(page, "With label sets and tasks"):
        assert documented == f"{figures[memory[what]]:.1f} MB"
