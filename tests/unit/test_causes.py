"""Each cause has its own code, and its message says how to fix it."""

import pytest

from agent.streams.shared.causes import CURES, cannot


# the advice of a missing capability depends on who lacks it
@pytest.mark.parametrize("code", [code for code in CURES if code != "no_capability"])
def test_every_cause_carries_its_detail(code: str) -> None:
    error = cannot(code, "the very detail")
    assert error.code == code
    assert "the very detail" in error.message
    # the message adds what is missing, or what to do
    assert len(error.message) > len("the very detail") + 15
