"""The states of the agent's single run, and the only transitions between them.

Two rules: there is one run at a time, and every run that is started is also stopped, by ``/stop``
or by the agent's own shutdown. Every change of state goes through ``Lifecycle.fire``, which
refuses any transition that the table does not list.
"""

from enum import Enum


class State(Enum):
    IDLE = "idle"
    ARMING = "arming"
    RUNNING = "running"
    STOPPING = "stopping"


class Event(Enum):
    START = "start"
    ARMED = "armed"
    REFUSED = "refused"
    STOP = "stop"
    STOPPED = "stopped"


TRANSITIONS = {
    (State.IDLE, Event.START): State.ARMING,
    (State.ARMING, Event.ARMED): State.RUNNING,
    (State.ARMING, Event.REFUSED): State.IDLE,
    (State.RUNNING, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.STOPPED): State.IDLE,
}


class IllegalTransition(Exception):
    """An event that the current state does not allow."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.value} is not possible while {state.value}")
        self.state = state
        self.event = event


class Lifecycle:
    """The current state of the run."""

    def __init__(self) -> None:
        self.state = State.IDLE

    def fire(self, event: Event) -> None:
        """Move to the next state. Raises IllegalTransition, without moving, if there is none."""
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransition(self.state, event) from None
