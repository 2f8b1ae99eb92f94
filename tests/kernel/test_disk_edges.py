"""What our count of a disk's requests may have more than the kernel's: what completes at an edge of
the run, not what completes while programs are attached and detached."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import faults
from fakes.block_devices import Direct, image, loop_device
from fakes.copied_package import Copy

SLOW = 0.3
"""Seconds for each program to be attached, and three times that before they are detached."""


class Writer:
    """Writes one block after the other, and counts them."""

    def __init__(self, direct: Direct) -> None:
        self._direct = direct
        self._ending = threading.Event()
        self.blocks = 0

    def work(self) -> None:
        while not self._ending.is_set():
            self._direct.write(1)
            self.blocks += 1

    @contextmanager
    def working(self) -> Iterator[None]:
        thread = threading.Thread(target=self.work)
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            thread.join()


@pytest.mark.thorough
def test_what_completes_while_programs_are_attached_and_detached_is_in_neither_count(
    copy: Copy, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    copy.inject(faults.attaches_slowly, SLOW)
    copy.inject(faults.detaches_late, 3 * SLOW)
    with (
        copy.launched() as agent,
        loop_device(tool, image(tmp_path, 8)) as device,
        Direct(device.path) as direct,
    ):
        agent.settle()
        with agent.run(sections=["biolatency"]):
            pass  # its programs are loaded now
        writer = Writer(direct)
        with writer.working():
            agent.start(sections=["biolatency"])
            evidence = agent.stop()
            meanwhile = writer.blocks
    [check] = [c for c in evidence["checks"] if c["name"] == f"block_write_{device.number}"]
    # the kernel's figure ends where our count does, and all of these were allowed before
    assert check["pass"], check["text"]
    assert check["excess"] < meanwhile / 4
