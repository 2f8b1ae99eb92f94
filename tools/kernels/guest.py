"""Boot one guest under QEMU, without KVM, and bring back what its work wrote."""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.kernels.commands import Failed
from tools.kernels.commands import run as run_program
from tools.kernels.packages import Kernel
from tools.kernels.targets import Target

MEMORY_MB = 2048
RESULTS_MB = 64
STEP_SECONDS = {"demo": 600, "matrix": 1800, "matrix_full": 4500, "tests": 2400, "disks": 900}
"""How long each step may take on a machine that is busy with other work."""
BOOT_SECONDS = 300
TRIES = 2
PANIC = re.compile(r"Kernel panic - not syncing.*")
"""With several CPUs, QEMU 7.2 sometimes panics a guest while the kernel patches its own code."""

NEWS = re.compile(r"@@ (.*)")
"""What a guest's work says on the console for whoever waits."""

MACHINES = {
    # numpy needs what x86-64-v2 has
    "amd64": [*("qemu-system-x86_64", "-M", "q35", "-cpu", "Nehalem")],
    "arm64": [*("qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "cortex-a72")],
}
LARGE_PAGES = ["-cpu", "max,pauth-impdef=on"]
"""A cortex-a72 has no pages of 16 KiB. The last -cpu counts."""
CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}
CLOCK = {
    "amd64": [*("tsc=reliable", "clocksource=tsc", "no_timer_check", "mitigations=off")],
    "arm64": [],
}
"""The emulated TSC is as good as any clock, but the kernel would find it unstable, and on a busy
host the timer dead."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What there is to boot a target with."""

    target: Target
    kernel: Kernel
    initrd: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a boot: the folder of its results, how long it took, and earlier panics."""

    folder: Path
    seconds: float
    panics: tuple[str, ...] = ()


def limit(steps: Sequence[str]) -> int:
    """Return how many seconds a guest's work may take."""
    return sum(STEP_SECONDS[step] for step in steps)


def command(boot: Boot, results: Path) -> list[str]:
    """Return QEMU's command line. The root file system is not changed, so one serves all."""
    target = boot.target
    words = [
        *MACHINES[target.architecture],
        *(LARGE_PAGES if target.flavour == "16k" else []),
        *("-accel", "tcg,thread=single,tb-size=256"),
        *("-smp", str(target.cpus), "-m", str(MEMORY_MB * (2 if target.cpus > 4 else 1))),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-serial", "stdio", "-device", "virtio-rng-pci"),
        *("-kernel", str(boot.kernel.image), "-initrd", str(boot.initrd)),
    ]
    for name, file, snapshot in (("root", boot.root, "on"), ("results", results, "off")):
        words += ["-drive", f"file={file},if=none,id={name},format=raw,snapshot={snapshot}"]
        words += ["-device", f"virtio-blk-pci,drive={name},serial={name}"]
    return [*words, "-append", " ".join(kernel_parameters(target))]


def kernel_parameters(target: Target) -> list[str]:
    return [
        f"console={CONSOLE[target.architecture]}",
        *("quiet", "panic=-1"),
        *CLOCK[target.architecture],
        f"chainbench.seconds={limit(target.steps)}",
        f"chainbench.steps={','.join(target.steps)}",
    ]


def run(boot: Boot, folder: Path, say: Callable[[str], None]) -> Came:
    """Boot a guest and return what came of it; ``say`` gets its news.

    A guest that panics is booted once more. Raises `Failed` if there are no results: the console is
    in ``folder``.
    """
    began = time.monotonic()
    panics: list[str] = []
    while len(panics) < TRIES:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        console = _boot(boot, folder, say)
        if unpack(folder / "results.raw", folder / "results"):
            return Came(folder / "results", time.monotonic() - began, tuple(panics))
        if not (panic := PANIC.search(console)):
            break
        panics.append(panic[0])
        say(panic[0])
    last = "\n".join(console.splitlines()[-15:])
    why = f" ({panics[-1]})" if panics else ""
    raise Failed(f"no results from the guest{why}; its console ends with:\n{last}")


def _boot(boot: Boot, folder: Path, say: Callable[[str], None]) -> str:
    """Run QEMU until it ends, and return the console's text."""
    results = folder / "results.raw"
    with results.open("wb") as file:
        file.truncate(RESULTS_MB << 20)
    words = ["setpriv", "--pdeathsig", "KILL", *command(boot, results)]
    with (
        (folder / "console").open("w", buffering=1, errors="replace") as log,
        subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        timer = threading.Timer(limit(boot.target.steps) + BOOT_SECONDS, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                if news := NEWS.search(line):
                    say(news[1].strip())
        finally:
            timer.cancel()
            process.kill()
    return (folder / "console").read_text(errors="replace")


def unpack(archive: Path, folder: Path) -> bool:
    """Unpack what a guest wrote, and return whether it wrote anything."""
    folder.mkdir()
    run_program("tar", "-xf", archive, "-C", folder)
    return any(folder.iterdir())
