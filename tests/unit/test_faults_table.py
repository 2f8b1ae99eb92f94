"""docs/faults.md names a test for every fault; test_pages.py checks that these tests exist."""

import re
from pathlib import Path

FAULTS = Path(__file__).parents[2] / "docs" / "faults.md"


def test_no_fault_is_without_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", FAULTS.read_text(), re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, len(rows) + 1))
    named = re.compile(r"`\w+/\w+\.py::\w+`")
    assert [number for number, _, _, tests in rows if not named.search(tests)] == []
