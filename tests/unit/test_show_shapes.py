"""Evidence of any shape: all of it can be shown, and nothing in it does harm."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.any_json import JSON
from fakes.sample_evidence import detailed, evidence, latency
from hypothesis import given
from hypothesis import strategies as st

from agent.sections.probes import SECTIONS
from agent.show.text import render


def test_everything_in_the_file_can_be_seen_with_all() -> None:
    whole = detailed() | {"field_of_a_newer_agent": {"rows": [{"figure": 987.125}, {"other": 1}]}}
    shown = " ".join(render(whole, width=120, everything=True).split())
    _, _, listed = shown.partition("Everything in the file")
    for path, leaf in leaves(whole):
        name = path[-1]
        assert name in listed, path
        said = json.dumps(leaf) if leaf is None or isinstance(leaf, bool) else str(leaf)
        assert (said[:60] or '""') in listed, path
    assert "hdr HISTFAAAACF4nJNpmSzMwMDAxAABzFCaEUQ==" in listed
    assert "field_of_a_newer_agent rows - figure 987.125 - other 1" in listed


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else ((path[-1], v) for v in value)
        for name, item in items:
            yield from leaves(item, (*path, name))
    else:
        yield path, value


def test_a_long_encoded_value_is_shortened_and_a_long_text_is_not() -> None:
    whole = evidence(runqlat=latency(hdr="x" * 900), reason="word " * 200)
    listed = render(whole, everything=True)
    assert f"hdr  {'x' * 60}… (900" in " ".join(listed.split("\n")).replace("\n", " ")
    assert listed.count("word") == 200


def test_rows_of_the_same_fields_are_a_table() -> None:
    text = render(evidence(), everything=True)
    assert "      bucket_us  count\n              0     12\n" in text
    assert "Everything" not in render(evidence())


def test_a_document_that_is_nested_deeply_is_shown_to_a_depth() -> None:
    deep: Any = "end"
    for _ in range(500):
        deep = {"a": deep}
    assert "nested too deeply" in render(evidence(more=deep), everything=True)


def test_a_hostile_name_cannot_reach_the_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e\n\r"
    named: dict[str, Any] = {
        "machine": hostile,
        "run_id": hostile,
        "labels": dict.fromkeys(("scenario", "impl"), hostile),
        "exec": {"exec_count": 1, "top_commands": [{"command": hostile, "count": 1}]},
        "offcpu": {"total_ms": 1, "top_reasons": [{"reason": hostile, "ms": 1}]},
        "syscall_counts": {"all": {hostile: 5}},
        "biolatency": latency(**{hostile: {"histogram": []}}),
        "manifest": {"kernel": hostile, "hooks": {hostile: [hostile]}, "versions": {"a": hostile}},
        "completeness": {"verdict": hostile, "reasons": [hostile], "streams": {hostile: {"a": 1}}},
        "checks": [{"name": hostile, "unit": hostile}],
        "overhead": {"processes": [{"role": hostile, "pid": hostile}]},
    }
    lines = render(evidence(**named)).split("\n")
    assert all(line.isprintable() for line in lines)
    assert sum("\\x1b]0;owned" in line for line in lines) >= len(named)


@given(
    st.dictionaries(
        st.sampled_from([*evidence(), "unavailable", "reason", "mock", "unknown"]), JSON
    )
)
def test_evidence_of_any_shape_renders(broken: dict[str, Any]) -> None:
    assert render(evidence() | broken)
    assert render(evidence() | broken, width=20, everything=True)


SHAPED = [*SECTIONS[:5], "syscall_details", "manifest", "completeness", "overhead", "scope"]


@pytest.mark.parametrize("field", SHAPED)
@given(data=st.data())
def test_a_section_of_any_shape_renders(field: str, data: st.DataObject) -> None:
    sample = detailed()[field]
    known = st.sampled_from(sorted(sample))
    broken = data.draw(st.dictionaries(known, JSON | rows_like(sample), max_size=4))
    assert render(detailed() | {field: broken})


def rows_like(sample: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return lists and objects with the fields that rows of the section have, of any type."""
    names = sorted({path[-1] for path, _ in leaves(sample)})
    row = st.dictionaries(st.sampled_from(names), JSON, max_size=4)
    nested = st.dictionaries(st.sampled_from(["top", "other", *names]), st.lists(row) | row)
    return st.lists(row, max_size=3) | row | nested
