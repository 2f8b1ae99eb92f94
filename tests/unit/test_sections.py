"""The registries of sections agree with each other and with the folders."""

from collections import Counter
from pathlib import Path

import pytest

import agent
from agent.sections.probes import ALL_DETAILS, DEFAULT_SECTIONS, DETAILS, PROBES, SECTIONS
from agent.sections.registry import FAMILIES, REGISTRY
from agent.sections.shown import SHOWN
from agent.sections.spec import Probe
from agent.sections.syscall_counts.layout import COUNTED
from agent.streams.shared.layout import machine_geometry
from agent.terminal.evidence import FIVE_CALLS

FOLDER = Path(agent.__path__[0]) / "sections"


def test_each_registry_lists_the_same_sections_in_the_same_order() -> None:
    assert tuple(REGISTRY) == tuple(SHOWN) == SECTIONS


def test_the_calls_that_clients_name_are_those_of_the_section() -> None:
    assert FIVE_CALLS == COUNTED


def test_each_folder_is_registered() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/probe.py")}
    assert folders == set(SECTIONS)


def test_every_folder_with_code_is_a_package() -> None:
    """What has no __init__.py is not in the wheel."""
    folders = {path.parent for path in FOLDER.parent.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_by_default_a_run_has_the_sections_of_the_contract() -> None:
    assert DEFAULT_SECTIONS == ("runqlat", "biolatency", "offcpu", "exec", "syscall_counts")


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_what_a_probe_names_is_there(probe: Probe) -> None:
    sources = [FOLDER / source for source in probe.sources]
    code = "".join(source.read_text() for source in sources)
    assert f"#if {probe.switch}" in code or not sources
    own = [*sources, *(FOLDER.parent / "streams" / "probes").glob("*.c"), *FOLDER.glob("*/*.c")]
    functions = "".join(source.read_text() for source in own)
    for program in probe.programs:
        assert f"int {program.function}(u64 *ctx)" in functions
    fold = REGISTRY[probe.name].fold
    details = (stream for detail in probe.details for stream in detail.streams)
    streams = (*probe.streams, *details)
    assert fold.takes.keys() == {stream.name for stream in streams}
    assert ("take_folded" in vars(fold)) == any(stream.folded for stream in streams)


def test_names_are_used_once() -> None:
    streams = [stream.name for probe in PROBES for stream in probe.streams]
    details = [detail for probe in PROBES for detail in probe.details]
    tables = [table.name for holder in (*PROBES, *details) for table in holder.tables]
    constants = [name for probe in PROBES for name in probe.constants]
    for names in (streams, tables, constants, [family.name for family in FAMILIES]):
        assert [name for name, times in Counter(names).items() if times > 1] == []
    assert len(ALL_DETAILS) == len(details)
    assert {*ALL_DETAILS} - {*DETAILS} == {d.name for d in details if d.by_default}


def test_tables_have_a_size_on_every_machine() -> None:
    for cpus in (1, 2, 100):
        sizes = machine_geometry(cpus, 32_768).map_sizes()
        assert all(size > 0 for size in sizes.values())
