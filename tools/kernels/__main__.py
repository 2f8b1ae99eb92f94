"""``python -m tools.kernels``: boot kernels, and write the page about them."""

import argparse
import datetime
import fcntl
import os
import subprocess
import sys
from pathlib import Path

from tools.kernels import guest, initrd, page, results, root
from tools.kernels.commands import Failed, need_programs, run
from tools.kernels.packages import Archive, cache_folder
from tools.kernels.targets import Target, UnknownTarget, chosen, roots


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tox -e kernels --", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], help="a target, such as 6.1-amd64; may be repeated"
    )
    parser.add_argument("--full", action="store_true", help="all targets, and all of the matrix")
    parser.add_argument(
        "--steps",
        action="append",
        default=[],
        choices=sorted(guest.STEP_SECONDS),
        help="a step, in place of the target's own; may be repeated",
    )
    parser.add_argument(
        "--wheel",
        type=Path,
        default=os.environ.get("TOX_PACKAGE"),
        help="the built project (default: the one that tox has built)",
    )
    return parser.parse_args()


def main() -> int:
    """Return 0, or 1 if a target could not be tried, or something failed on it."""
    options = arguments()
    try:
        targets = chosen(options.only, options.full, options.steps)
        if options.wheel is None:
            raise Failed("--wheel is missing, and tox has not built one")
        if not options.wheel.is_file():
            raise Failed(f"there is no {options.wheel}")
        need_programs([target.architecture for target in targets])
        session = Session(root.Wheel(options.wheel, commit()))
        session.prepare()
        failed = [target.name for target in targets if not session.try_target(target)]
    except (Failed, UnknownTarget) as error:
        say(f"kernels: {error}")
        return 1
    say(f"not all well: {', '.join(failed)}" if failed else "all well")
    return 1 if failed else 0


class Session:
    """One call of the program: its cache, its archive, and the images that it has built."""

    def __init__(self, wheel: root.Wheel) -> None:
        self._wheel = wheel
        self._cache = cache_folder()
        self._archive = Archive(self._cache)
        self._images: dict[tuple[str, str], Path] = {}

    def prepare(self) -> None:
        """Take the cache for this process, and fetch the package lists. Raises `Failed`."""
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            self._lock = (self._cache / "lock").open("w")
        except OSError as error:
            raise Failed(f"no cache: {error}; XDG_CACHE_HOME says where it is to be") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another call uses {self._cache}") from None
        say("package lists")
        self._archive.update()

    def try_target(self, target: Target) -> bool:
        """Boot a target, keep what came of it, write the page; return whether all went well."""
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        row = results.row_of(target, today, self._wheel.commit)
        try:
            boot = self._boot(target)
            row |= results.of_kernel(boot.kernel, emulator(target.architecture))
            say(f"{target.name}: booting {boot.kernel.release}")
            came = guest.run(boot, self._cache / "guests" / target.name, say)
            row |= results.of_guest(came)
        except (Failed, OSError, ValueError) as error:
            row["error"] = str(error)
        page.write(results.keep(row))
        problems = results.problems(row)
        for problem in problems:
            say(f"{target.name}: {problem}")
        return not problems

    def _boot(self, target: Target) -> guest.Boot:
        kernel = self._archive.kernel(target.series, target.architecture, target.flavour)
        busybox = self._archive.busybox(target.architecture)
        archive = initrd.build(kernel, busybox, self._cache / f"{target.name}.initrd")
        return guest.Boot(target, kernel, archive, self._root(target))

    def _root(self, target: Target) -> Path:
        [(suite, architecture)] = roots([target])
        if (suite, architecture) not in self._images:
            say(f"root file system: {suite}, {architecture}")
            image = root.image(suite, architecture, self._wheel, self._cache)
            self._images[suite, architecture] = image
        return self._images[suite, architecture]


def commit() -> str:
    """Return the last commit that changed the agent, with ``-dirty`` if its files differ."""
    found = run("git", "log", "-1", "--format=%h", "--", "agent", cwd=root.CHECKOUT).strip()
    changed = run("git", "status", "--porcelain", "agent", cwd=root.CHECKOUT).strip()
    return f"{found}-dirty" if changed else found


def emulator(architecture: str) -> str:
    """Return QEMU's version."""
    program = guest.MACHINES[architecture][0]
    return subprocess.check_output([program, "--version"], text=True).splitlines()[0]


def say(text: str) -> None:
    sys.stdout.write(f"{datetime.datetime.now():%H:%M:%S} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
