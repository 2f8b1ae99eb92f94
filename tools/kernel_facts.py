#!/usr/bin/env python3
"""Write down what our programs need of a kernel: the facts that a run is planned by, as text.

    tools/kernel_facts.py                              # of the running kernel
    tools/kernel_facts.py vmlinuz -o tests/unit/facts/6.1-amd64.txt
    tools/kernel_facts.py linux-image-6.1.0-41-cloud-amd64_6.1.158-1_amd64.deb

The file may be BTF as the kernel stores it (/sys/kernel/btf/vmlinux), a vmlinux, a vmlinuz, or a
Debian package with one. Tests plan runs against the texts (tests/unit/test_kernel_facts.py), so
that a field that moved or a helper that a kernel lacks is found without booting that kernel. Needs
libbpf, as the agent does, and what kernel_image.py needs to look into the file.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.sections.probes import ALL_DETAILS, SECTIONS
from agent.streams.compiler.btf import KIND_FUNC, KIND_STRUCT, KIND_UNION, KernelTypes, Place
from agent.streams.compiler.newer_kernels import FUNCTIONS, PREEMPTED, STRUCTS
from agent.streams.compiler.planning import Types, possible
from agent.streams.shared import kernel_files
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.plan import Plan
from tools.kernel_image import NoFacts, btf_of, image_in

KINDS = {KIND_FUNC: "function", KIND_STRUCT: "struct", KIND_UNION: "union"}
ABSENT = "absent"


class FactMissing(Exception):
    """The code asks for a fact that was not written down."""


class Facts:
    """A kernel's types as far as they were written down; asked like `KernelTypes`."""

    def __init__(self, text: str) -> None:
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        self._facts = dict(line.split(" = ", 1) for line in lines)

    def type_id(self, name: str, kind: int) -> int | None:
        return None if self._of(f"{KINDS[kind]} {name}") == ABSENT else 1

    def place_of(self, struct: str, field: str) -> Place | None:
        found = self._of(f"field {struct}.{field}")
        if found == ABSENT:
            return None
        offset, size, total, *pointer = found.split()
        return Place(int(offset), int(size), int(total), bool(pointer))

    def bit_of(self, struct: str, field: str) -> tuple[int, int] | None:
        found = self._of(f"bit {struct}.{field}")
        if found == ABSENT:
            return None
        byte, mask = found.split()
        return int(byte), int(mask)

    def size_of(self, name: str, kind: int) -> int | None:
        found = self._of(f"size {KINDS[kind]} {name}")
        return None if found == ABSENT else int(found)

    def tracepoint_id(self, name: str) -> int | None:
        return None if self._of(f"tracepoint {name}") == ABSENT else 1

    def argument_types(self, tracepoint: str) -> list[str]:
        found = self._of(f"tracepoint {tracepoint}")
        return [] if found in (ABSENT, "") else found.split(", ")

    def has_enumerator(self, enum: str, name: str) -> bool:
        return self._of(f"enumerator {enum} {name}") != ABSENT

    def enumerator(self, name: str) -> int | None:
        found = self._of(f"number {name}")
        return None if found == ABSENT else int(found)

    def _of(self, fact: str) -> str:
        try:
            return self._facts[fact]
        except KeyError:
            raise FactMissing(
                f"{fact}: not among this kernel's facts; write them anew (tools/kernel_facts.py)"
            ) from None


class Recording:
    """A kernel's types, with a note of everything that is asked of them."""

    def __init__(self, types: KernelTypes) -> None:
        self._types = types
        self.facts: dict[str, str] = {}

    def type_id(self, name: str, kind: int) -> int | None:
        found = self._types.type_id(name, kind)
        self.facts[f"{KINDS[kind]} {name}"] = ABSENT if found is None else "there"
        return found

    def place_of(self, struct: str, field: str) -> Place | None:
        found = self._types.place_of(struct, field)
        text = ABSENT
        if found is not None:
            text = f"{found.offset} {found.size} {found.total}" + " pointer" * found.is_pointer
        self.facts[f"field {struct}.{field}"] = text
        return found

    def bit_of(self, struct: str, field: str) -> tuple[int, int] | None:
        found = self._types.bit_of(struct, field)
        self.facts[f"bit {struct}.{field}"] = ABSENT if found is None else f"{found[0]} {found[1]}"
        return found

    def size_of(self, name: str, kind: int) -> int | None:
        found = self._types.size_of(name, kind)
        self.facts[f"size {KINDS[kind]} {name}"] = ABSENT if found is None else str(found)
        return found

    def tracepoint_id(self, name: str) -> int | None:
        self.argument_types(name)
        return self._types.tracepoint_id(name)

    def argument_types(self, tracepoint: str) -> list[str]:
        found = self._types.argument_types(tracepoint)
        absent = self._types.tracepoint_id(tracepoint) is None
        self.facts[f"tracepoint {tracepoint}"] = ABSENT if absent else ", ".join(found)
        return found

    def has_enumerator(self, enum: str, name: str) -> bool:
        found = self._types.has_enumerator(enum, name)
        self.facts[f"enumerator {enum} {name}"] = "there" if found else ABSENT
        return found

    def enumerator(self, name: str) -> int | None:
        found = self._types.enumerator(name)
        self.facts[f"number {name}"] = ABSENT if found is None else str(found)
        return found


def all_plans() -> Iterator[Plan]:
    """Return a plan for each combination of the choices that change what is asked of a kernel."""
    for scoped, timing, transport in product(
        (True, False), ("clock", "accounting"), ("ring", "perf")
    ):
        yield Plan(SECTIONS, scoped, timing, transport, tuple(ALL_DETAILS)).possible()


def ask_everything(types: Types) -> None:
    """Ask for every fact that any run needs."""
    for plan in all_plans():
        possible(types, plan.constants(), plan.sections)
    for name in FUNCTIONS:
        types.type_id(name, KIND_FUNC)
    for name in STRUCTS:
        types.type_id(name, KIND_STRUCT)
    types.place_of(*PREEMPTED)


def facts_of(btf: Path, version: str) -> str:
    """Return the text with all facts of a kernel, given its BTF as a file."""
    recording = Recording(KernelTypes(btf))
    ask_everything(recording)
    lines = (f"{fact} = {value}" for fact, value in sorted(recording.facts.items()))
    return f"# Linux {version}\n" + "\n".join(lines) + "\n"


def text_of(file: Path) -> str:
    """Return the facts of the kernel in a file. Raises NoFacts, OSError or CannotCollect."""
    if file == kernel_files.BTF:
        return facts_of(file, Path("/proc/sys/kernel/osrelease").read_text().strip())
    btf, version = btf_of(image_in(file) if file.suffix == ".deb" else file.read_bytes())
    with tempfile.NamedTemporaryFile() as found:
        found.write(btf)
        found.flush()
        try:
            return facts_of(Path(found.name), version)
        except CannotCollect as error:
            raise NoFacts(error.message.replace(found.name, "its BTF")) from error


def failed(file: Path, error: Exception) -> int:
    """Say why there are no facts, on one line that names the file once."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    names_it = file == kernel_files.BTF and str(file) in why
    sys.stderr.write(f"{why}\n" if names_it else f"{file}: {why}\n")
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Write down what our programs need of a kernel.")
    parser.add_argument("file", nargs="?", type=Path, default=kernel_files.BTF, help="the kernel")
    parser.add_argument("-o", "--output", type=Path, help="where to; default: standard output")
    options = parser.parse_args()
    try:
        text = text_of(options.file)
    except (NoFacts, CannotCollect, OSError) as error:
        return failed(options.file, error)
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        options.output.write_text(text)
    except OSError as error:
        return failed(options.output, error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
