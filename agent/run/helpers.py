"""Commands around the measured ones: ``--setup``, ``--prepare``, ``--conclude``, ``--cleanup``."""

import shlex
import subprocess
from collections.abc import Sequence

from agent.client.children import foreign_child
from agent.exit_status import how_it_ended


class HelperFailed(Exception):
    """The text says which command, and how it ended."""


def run_helper(option: str, words: Sequence[str], show_output: bool) -> None:
    """Run a command to its end; do nothing without words. Raises `HelperFailed`.

    Its input is /dev/null, and its output is discarded unless it is to be shown.
    """
    if not words:
        return
    output = None if show_output else subprocess.DEVNULL
    try:
        with foreign_child(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process:
            status = process.wait()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        why = getattr(error, "strerror", None) or error
        raise HelperFailed(f"--{option} cannot be run: {words[0]}: {why}") from error
    if status:
        raise HelperFailed(f"--{option} {how_it_ended(status)}: {shlex.join(words)}")
