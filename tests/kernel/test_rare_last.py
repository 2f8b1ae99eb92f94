"""What runs at each event stands at the beginning of its program, what rarely runs at its end."""

import pytest
from fakes.processes import Bpftool, Launched, held


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["cba_switch", "cba_wakeup"])
def test_programs_of_events_that_are_frequent_end_early(
    own_agent: Launched, bpftool: Bpftool, name: str
) -> None:
    """In the order of the source, their only exit follows three quarters of them."""
    with own_agent.run(sections=["runqlat"]):
        attached = bpftool.linked(found := bpftool.programs(held(own_agent.supervisor, "map")))
    program = next(number for number in attached if found[number] == name)
    instructions = bpftool.instructions(program)
    end = next(number for number, text in enumerate(instructions) if text.endswith("exit"))
    assert end < len(instructions) / 3
