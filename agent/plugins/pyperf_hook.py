"""A hook for pyperf (``--hook chainbench``): evidence of each value, as metadata of the run.

pyperf makes a hook for the calibration, one for the warm-ups, and one for the values of each worker
process, and does not say which it is for. It enters the hook for each value, outside of the timing.
How many loops a value has is not known to a hook; the run's metadata has it (``loops``).

For the value of a command it enters the hook twice, one inside the other: in the worker process,
and in the process that starts the command and takes the time. The run of the first covers both, and
the second must not say anything: pyperf reads the time from all that this process prints.
"""

import os
import sys
from types import TracebackType
from typing import Any

from agent.client.collecting import MeasuredBlock
from agent.plugins.figures import BLOCK_MS, figures_of
from agent.words import Json

PREFIX = "chainbench_"
IN_A_WORKER = "_process_time.py"
"""pyperf's program for the time of a command."""


class Hook:
    """Measures each value of one worker process. Has the methods of ``pyperf.HookBase``.

    After a value without evidence no other one is measured: each might have to wait as long for the
    agent.
    """

    def __init__(self) -> None:
        self._runs: list[Json] = []
        self._value: MeasuredBlock | None = None
        self._why_not = ""
        self._covered = os.path.basename(sys.argv[0]) == IN_A_WORKER

    def __enter__(self) -> None:
        if not self._why_not and not self._covered:
            self._value = MeasuredBlock((), {"scope": "caller"}, tell=self._tell)
            self._value.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        value, self._value = self._value, None
        if value is not None:
            value.__exit__(kind, error, traceback)
            self._runs.append({**value.evidence, BLOCK_MS: value.block_ms})

    def teardown(self, metadata: dict[str, Any]) -> None:
        """Put figures into a run's metadata, in the place of those of the warm-ups before."""
        if self._covered:
            return
        for name in [name for name in metadata if name.startswith(PREFIX)]:
            del metadata[name]
        for name, value in figures_of(self._runs).items():
            metadata[f"{PREFIX}{name}"] = value

    def _tell(self, reason: str) -> None:
        self._why_not = reason
        sys.stderr.write(f"chainbench: no evidence: {reason}\n")
