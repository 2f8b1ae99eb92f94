"""The command line within the test's own process."""

from collections.abc import Sequence

import pytest

from agent.cli import main


def exit_status(arguments: Sequence[str]) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code
