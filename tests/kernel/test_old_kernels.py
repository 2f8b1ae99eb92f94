"""What a kernel that is too old is called, with features of this one taken away."""

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.real_agent import assert_unavailable


@pytest.mark.thorough
def test_a_kernel_without_ring_buffers(copy: Copy) -> None:
    """For an unknown map type, this kernel returns the same error as one before 5.8 would."""
    copy.inject(faults.attribute, "agent.streams.shared.bpf", "MAP_TYPE_RINGBUF", 127)
    with copy.launched() as agent:
        agent.settle()
        refused = agent.start(transport="ring")
        assert (refused["available"], refused["code"]) == (False, "kernel_too_old")
        assert "creating a ring buffer: Invalid argument" in refused["reason"]
        assert agent.stop()["completeness"]["verdict"] == "invalid"
        with agent.run() as run:
            pass
    assert run.evidence["manifest"]["transport"] == "perf"
    assert run.evidence["completeness"]["verdict"] != "invalid"
    assert run.evidence["runqlat"]["count"] > 0


@pytest.mark.thorough
def test_a_kernel_without_typed_tracepoints(copy: Copy) -> None:
    """The kernel's BTF has no tracepoint types, as before 5.5."""
    copy.inject(faults.kernel_lacks, "btf_trace_")
    with copy.launched() as agent:
        agent.settle()
        assert_unavailable(agent, "kernel_too_old", "Linux 5.8")
