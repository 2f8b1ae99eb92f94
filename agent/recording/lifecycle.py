"""The states of the agent's one run, and the only ways between them.

Two rules: there is one run at a time, and every run that was started is also stopped, if not by
``/stop`` then by the agent's own shutdown. Everything that changes the state goes through
``Lifecycle.fire``, which refuses what the table does not list.
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
    """Where the run stands."""

    def __init__(self) -> None:
        self.state = State.IDLE

    def fire(self, event: Event) -> None:
        """Move on. Raises IllegalTransition, and stays."""
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransition(self.state, event) from None
