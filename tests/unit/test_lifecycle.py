"""The state table: any event in any order is either listed or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recording.lifecycle import TRANSITIONS, Event, IllegalTransition, Lifecycle, State

ONE_RUN = [Event.START, Event.ARMED, Event.STOP, Event.STOPPED]


def test_one_run_after_the_other() -> None:
    lifecycle = Lifecycle()
    seen = []
    for event in ONE_RUN * 2:
        lifecycle.fire(event)
        seen.append(lifecycle.state)
    assert seen == [State.ARMING, State.RUNNING, State.STOPPING, State.IDLE] * 2


@given(st.lists(st.sampled_from(Event)))
def test_every_sequence_follows_the_table_or_is_refused(events: list[Event]) -> None:
    lifecycle = Lifecycle()
    for event in events:
        before = lifecycle.state
        after = TRANSITIONS.get((before, event))
        if after is None:
            with pytest.raises(IllegalTransition) as refusal:
                lifecycle.fire(event)
            assert (refusal.value.state, refusal.value.event) == (before, event)
            assert lifecycle.state is before
        else:
            lifecycle.fire(event)
            assert lifecycle.state is after


@given(st.lists(st.sampled_from(Event)))
def test_whatever_happened_a_run_can_be_brought_to_its_end(events: list[Event]) -> None:
    lifecycle = Lifecycle()
    for event in events:
        if (lifecycle.state, event) in TRANSITIONS:
            lifecycle.fire(event)
    for event in ONE_RUN:
        if lifecycle.state is not State.IDLE and (lifecycle.state, event) in TRANSITIONS:
            lifecycle.fire(event)
    assert lifecycle.state is State.IDLE


def test_a_refusal_names_event_and_state() -> None:
    with pytest.raises(IllegalTransition, match="stop is not possible while idle"):
        Lifecycle().fire(Event.STOP)
