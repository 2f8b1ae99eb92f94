"""Reports: one file that any browser shows, in which nothing is missing without a word."""

import base64
import copy
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fakes.report_pages import HTML, SVG, figures, tree, words
from fakes.reports import HOSTILE, compared, latencies, repeated, single, timeline
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from agent.report.page import page
from agent.report.pictures.heat import heat_of

LARGEST = 500_000
RUNS_SOMETHING = ("script", "iframe", "object", "embed", "link", "img", "image", "form", "base")
LATENCIES = ("runqlat", "biolatency")
DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "pairs": compared,
    "series": repeated,
    "one": single,
}


@pytest.fixture(scope="module", params=DOCUMENTS)
def shown(request: pytest.FixtureRequest) -> ElementTree.Element:
    return tree(page(DOCUMENTS[request.param]()))


@pytest.mark.thorough
def test_a_report_of_forty_runs_is_small_enough_to_send() -> None:
    assert len(page(compared(20)).encode()) < LARGEST


@pytest.mark.thorough
def test_a_report_of_very_many_runs_is_too() -> None:
    document = repeated(6)
    few = document["runs"]
    document["runs"] = [{**few[n % 6], "round": n + 1} for n in range(1000)]
    assert len(page(document).encode()) < LARGEST
    assert "900 further rows are not shown" in page(document)


@pytest.mark.thorough
def test_the_same_document_gives_the_same_bytes() -> None:
    document = compared(6)
    assert page(document) == page(copy.deepcopy(document))


def test_each_picture_has_a_title_a_description_and_a_table(shown: ElementTree.Element) -> None:
    found = figures(shown)
    assert {"budget", "percentiles-runqlat", "histogram-biolatency"} <= set(found)
    for figure in found.values():
        [picture] = figure.findall(f"{SVG}svg")
        assert picture.attrib["role"] == "img"
        named = picture.attrib["aria-labelledby"].split()
        told = {one.attrib["id"]: one.text for one in picture if "id" in one.attrib}
        assert all(told[name] for name in named)
        tables = figure.findall(f".//{HTML}details//{HTML}table")
        captions = [table.find(f"{HTML}caption") for table in tables]
        assert all(caption is not None and words(caption) for caption in captions)
        assert all(table.findall(f".//{HTML}td") for table in tables)
        assert tables


def test_nothing_is_loaded_and_nothing_runs(shown: ElementTree.Element) -> None:
    tags = {element.tag.rpartition("}")[2] for element in shown.iter()}
    assert tags.isdisjoint(RUNS_SOMETHING)
    for element in shown.iter():
        for name, value in element.items():
            assert not name.startswith("on")
            assert name != "style", "the content security policy forbids inline styles"
            if name in ("href", "src"):
                assert value.startswith("#")


def test_the_policy_allows_the_one_style_sheet_and_nothing_else(shown: ElementTree.Element) -> None:
    [style] = shown.iter(f"{HTML}style")
    digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
    metas = [meta for meta in shown.iter(f"{HTML}meta") if "http-equiv" in meta.attrib]
    assert [meta.attrib["content"] for meta in metas] == [
        f"default-src 'none'; style-src 'sha256-{digest}'"
    ]
    assert "url(" not in (style.text or "")
    assert "@import" not in (style.text or "")


def test_ids_are_unique_and_references_resolve(shown: ElementTree.Element) -> None:
    ids = [element.attrib["id"] for element in shown.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    used = {
        found
        for element in shown.iter()
        for value in element.attrib.values()
        for found in re.findall(r"(?:^|url\()#([\w-]+)", value)
    }
    assert used <= set(ids)


def test_every_color_is_one_of_the_style_sheet(shown: ElementTree.Element) -> None:
    css = (Path(__file__).parents[2] / "agent/report/report.css").read_text()
    used: set[str] = set()
    for picture in shown.iter(f"{SVG}svg"):
        for element in picture.iter():
            used |= {one for one in element.get("class", "").split() if one[:2] in ("f-", "s-")}
    assert {one[:2] for one in used} == {"f-", "s-"}
    assert used <= {name.removeprefix(".") for name in re.findall(r"\.[fs]-[a-z]+", css)}
    for element in shown.iter():
        for name in ("fill", "stroke"):
            assert element.get(name, "none") == "none" or element.attrib[name].startswith("url(")


# --- contrast


def variables(css: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", css))


def luminance(color: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    channels = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_lines_can_be_seen_in_light_and_in_dark() -> None:
    css = (Path(__file__).parents[2] / "agent/report/report.css").read_text()
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)")
    for colors in (variables(light), variables(dark.split("}")[0])):
        for name in ("ink", "muted", "first", "second", "warning"):
            assert contrast(colors[name], colors["paper"]) >= 4.5, name
        assert contrast(colors["warning"], colors["soft"]) >= 4.5


# --- what comes from outside


def test_hostile_names_are_only_text() -> None:
    document = compared(6, (HOSTILE, HOSTILE))
    for run in document["runs"]:
        run["evidence"]["wall"]["blocked_until"][0]["reason"] = HOSTILE
        run["evidence"]["labels"]["commit"] = HOSTILE
        run["evidence"]["machine"] = HOSTILE
    text = page(document)
    assert "<script" not in text
    assert "alert(1)" in words(tree(text))
    assert "\x1b" not in text
    assert "\u202e" not in text
    parser = HTMLParser()
    parser.feed(text)
    parser.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    below = [((*path, name), value) for name, value in inner]
    return [place for place, _ in below] + [
        further
        for place, value in below
        if isinstance(value, dict | list)
        for further in places(value, place)
    ]


SMALL = {"pairs": compared(6), "one": single()}
PLACES = {name: places(document) for name, document in SMALL.items()}


@pytest.mark.thorough
@settings(max_examples=30)
@given(st.data(), st.sampled_from(list(SMALL)), JSON)
def test_whatever_stands_in_a_field_there_is_a_page(data: Any, name: str, value: Any) -> None:
    changed = copy.deepcopy(SMALL[name])
    *way, last = data.draw(st.sampled_from(PLACES[name]))
    holder = changed
    for step in way:
        holder = holder[step]
    holder[last] = value
    tree(page(changed))


# --- what is missing


def test_a_side_without_a_section_is_hatched_and_named() -> None:
    document = compared(6)
    for run in document["runs"]:
        if run["side"] == "optimized":
            del run["evidence"]["biolatency"]
            run["evidence"]["unavailable"] = {"biolatency": "no tracepoint"}
            run["evidence"]["wall"] = {"available": False, "reason": "switched off"}
    found = figures(tree(page(document)))
    for name in ("percentiles-biolatency", "histogram-biolatency"):
        assert "optimized: not measured: in 6 of 6 runs: no tracepoint" in words(found[name])
        assert found[name].findall(f".//{SVG}pattern")
    assert "optimized: not measured, in 6 of 6 runs: switched off" in words(found["budget"])
    assert found["budget"].findall(f".//{SVG}pattern")
    assert not found["percentiles-runqlat"].findall(f".//{SVG}pattern")


def test_some_runs_without_evidence_are_counted() -> None:
    document = compared(8)
    for run in document["runs"][:4]:
        run["evidence"] = {"available": False, "reason": "no BTF"}
    found = figures(tree(page(document)))
    assert "baseline: missing in 2 of 8 runs: no BTF" in words(found["histogram-runqlat"])
    assert "baseline: without a budget in 2 of 8 runs: no BTF" in words(found["budget"])


def test_without_evidence_there_are_the_times_and_the_reason() -> None:
    document = single()
    reason = {"available": False, "reason": "no BTF", "command": document["command"]}
    root = tree(page(reason))
    assert "No evidence: no BTF" in words(root)
    assert "./old --size 10" in words(root)
    for figure in figures(root).values():
        assert "no BTF" in words(figure)
        assert figure.findall(f".//{SVG}pattern")


def test_a_run_that_does_not_count_is_hollow_and_named() -> None:
    document = repeated(8)
    document["runs"][3]["counts"] = False
    said = words(figures(tree(page(document)))["durations"])
    assert "hollow, and in no other figure, since they failed or were interrupted: 4." in said


def test_a_run_without_a_time_is_hatched_and_named() -> None:
    document = repeated(8)
    del document["runs"][2]["command"]["wall_ms"]
    del document["runs"][2]["evidence"]["wall"]
    found = figures(tree(page(document)))["durations"]
    assert "hatched, since no time is known: 3." in words(found)
    assert found.findall(f".//{SVG}pattern")


def test_an_invalid_run_is_in_no_picture_of_evidence() -> None:
    document = repeated(6)
    for run in document["runs"]:
        run["evidence"]["completeness"]["verdict"] = "invalid"
    for name, figure in figures(tree(page(document))).items():
        if name != "durations":
            assert "the evidence is invalid" in words(figure)


def test_a_curve_ends_where_percentiles_are_only_maxima() -> None:
    """The 99th percentile of fewer than 100 samples is the longest of them."""
    few = single(runqlat=latencies(3, 90, 1), biolatency=latencies(90, 9, 1))
    found = figures(tree(page(few)))
    table = found["percentiles-runqlat"].find(f".//{HTML}table")
    assert table is not None
    rows = {words(row[0]): words(row[1]) for row in table.findall(f".//{HTML}tbody/{HTML}tr")}
    assert rows["90 %"] != "–"
    assert rows["99 %"] == "–"
    assert "no run has 10 samples; the most is 9" in words(found["percentiles-biolatency"])


def test_mock_and_partial_evidence_cannot_be_overlooked() -> None:
    root = tree(page(single(mock=True, state="partial")))
    told = [words(one) for one in root.iter(f"{HTML}p") if one.get("class") == "warning"]
    assert [one.split(":")[0] for one in told] == ["Mock", "Partial"]
    assert "this is how far it had got" in words(figures(root)["heat-runqlat"])


def test_labels_that_differ_are_named_by_side() -> None:
    document = compared()
    for run in document["runs"]:
        run["evidence"]["labels"] |= {"commit": run["side"][:3], "variant": "both"}
    text = words(tree(page(document)))
    assert "baseline: bas; optimized: opt" in text
    assert "variant both" in " ".join(text.split())


# --- over time


def test_counts_over_time_are_those_of_the_stretches() -> None:
    found = heat_of(timeline(4), "runqlat")
    assert found is not None
    assert found.bounds == [2, 4096]
    assert found.counts == [[1000, 1000, 0, 0], [0, 0, 50, 50]]
    assert found.rates == found.counts


def test_lost_events_are_hatched_over_time() -> None:
    found = figures(tree(page(single(timeline=timeline(10, lost=7)))))["heat-runqlat"]
    assert "Hatched: 7 events were lost then." in words(found)
    assert found.findall(f".//{SVG}pattern")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"timeline": None}, "the evidence has no timeline"),
        ({"timeline": timeline(2)}, "the run was too short"),
        ({"timeline": {**timeline(5), "at_s": [1, 3, 2, 4, 5]}}, "the timeline is malformed"),
        ({"timeline": {**timeline(5), "lost": [0]}}, "the timeline is malformed"),
        ({"runqlat": None}, "not among the sections of the run"),
    ],
)
def test_no_picture_over_time_without_the_reason(changed: dict[str, Any], why: str) -> None:
    found = figures(tree(page(single(**changed))))["heat-runqlat"]
    assert why in words(found)
    assert found.findall(f".//{SVG}pattern")


@pytest.mark.thorough
def test_the_largest_timeline_fits() -> None:
    stretches = 120
    rows = [
        {"bucket_us": 2**n, "counts": [(n * 37 + k * k) * k for k in range(stretches)]}
        for n in range(20)
    ]
    whole = {**timeline(stretches), "runqlat": rows, "biolatency": rows}
    assert len(page(single(timeline=whole)).encode()) < LARGEST


# --- against the numbers


def ms(text: str) -> float:
    value, unit = text.split(" ")
    return float(value) * {"s": 1e3, "ms": 1.0, "µs": 1e-3}[unit]


def test_the_parts_of_the_budget_add_up(shown: ElementTree.Element) -> None:
    table = figures(shown)["budget"].find(f".//{HTML}table")
    assert table is not None
    rows = {words(row[0]): words(row[1]) for row in table.findall(f".//{HTML}tbody/{HTML}tr")}
    whole = rows.pop("wall time")
    assert sum(map(ms, rows.values())) == pytest.approx(ms(whole), rel=1e-3)
