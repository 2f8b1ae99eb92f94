"""Functions of the kernel are tried one by one: a refusal costs only what is built on it."""

import pytest
from fakes.needs import needs_callbacks, needs_preemption_control

from agent.streams.compiler import callbacks, trial
from agent.streams.compiler.btf import KIND_FUNC, KIND_STRUCT, KernelTypes
from agent.streams.compiler.callbacks import SCHEDULE, open_callbacks
from agent.streams.compiler.newer_kernels import CAST, PREEMPTION

NO_KFUNC = "schedule"
"""A function of every kernel that no program may call."""


@pytest.fixture(scope="module")
def types() -> KernelTypes:
    return KernelTypes()


def number(types: KernelTypes, name: str, kind: int = KIND_FUNC) -> int:
    found = types.type_id(name, kind)
    assert found is not None, name
    return found


@needs_preemption_control
def test_a_call_that_is_refused_costs_no_other(types: KernelTypes) -> None:
    task = number(types, "task_struct", KIND_STRUCT)
    good = {
        "cast": trial.cast(number(types, CAST), task),
        "preemption": trial.preemption(*(number(types, f) for f in PREEMPTION.values())),
    }
    assert trial.refusals(types, good) == {}
    refused = trial.refusals(types, {**good, "wrong": trial.cast(number(types, NO_KFUNC), task)})
    assert refused.keys() == {"wrong"}
    assert "not allowed" in refused["wrong"]


@needs_callbacks
def test_of_two_names_the_one_that_may_be_called_is_used(
    types: KernelTypes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since 7.0 BTF has two names of the function, and the verifier allows one of them."""
    known = next(name for name in SCHEDULE if types.type_id(name, KIND_FUNC) is not None)
    monkeypatch.setattr(callbacks, "SCHEDULE", (NO_KFUNC, known))
    found, reason = open_callbacks(types)
    assert found is not None
    found.close()
    assert (found.schedule_id, reason) == (number(types, known), "")


@needs_callbacks
def test_without_one_that_may_be_called_the_reason_is_said(
    types: KernelTypes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "SCHEDULE", (NO_KFUNC,))
    found, reason = open_callbacks(types)
    assert found is None
    assert reason.startswith(f"{NO_KFUNC}: ")
