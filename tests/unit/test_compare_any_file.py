"""`compare` of files that may hold anything: an answer or a reason, and never a traceback."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.groups import pairs_document
from fakes.series_documents import JSON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli import main

pytestmark = pytest.mark.thorough

TIMES = [100.0, 101.0, 102.0, 99.0, 98.0, 97.0, 103.0]
DOCUMENT = pairs_document(TIMES, [0.9 * ms for ms in TIMES])
ODD = st.sampled_from([0, -1, 1e308, -1e308, 2**70, float("nan"), "\x1b[2J"])
Place = Sequence[str | int]


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Yield where in a document there is something."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inner:
        yield (*here, key)
        if isinstance(part, dict | list):
            yield from places(part, (*here, key))


def spoil(value: Any, place: Place, new: Any) -> Any:
    """Return a document with something else at a place, if there is still such a place."""
    if not place:
        return new
    first, *rest = place
    if isinstance(value, dict) and first in value:
        return {**value, first: spoil(value[first], rest, new)}
    if isinstance(value, list):
        return [spoil(part, rest, new) if n == first else part for n, part in enumerate(value)]
    return value


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(list(places(DOCUMENT))), JSON | ODD), max_size=6),
    st.sampled_from(
        [[], ["--all"], ["--markdown"], ["--json"], ["--force"], ["--fail-if-slower", "3%"]]
    ),
)
def test_whatever_a_file_holds(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoiled: Sequence[tuple[Place, Any]],
    options: list[str],
) -> None:
    document: Any = DOCUMENT
    for place, new in spoiled:
        document = spoil(document, place, new)
    file = tmp_path / "series.json"
    file.write_text(json.dumps(document))
    status = main(["compare", str(file), *options])
    said = capsys.readouterr()
    assert status in (0, 1, 2)
    assert bool(said.out) == (status != 1)
    assert status != 1 or said.err
    assert all(c.isprintable() or c == "\n" for c in said.out + said.err)
