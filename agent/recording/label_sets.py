"""What answers and the log say when label sets are hidden from ``/metrics``, or refused."""

import logging

from agent.aggregate.series import Room, SeriesStore
from agent.words import Json

LOGGER = logging.getLogger("agent.recording.label_sets")

REFUSED = (
    "a report is shown under three label sets, and next to the run in progress /metrics has no "
    "room for them; start the agent with --label-sets 4 or more"
)


def answer(room: Room, store: SeriesStore) -> Json:
    """Return what an answer says of it: nothing if there was room; and log the same."""
    if not room.shown:
        LOGGER.warning("a report is not shown: %s", REFUSED)
        return {"shown": False, "reason": REFUSED}
    if not room.hidden:
        return {}
    LOGGER.info(
        "hidden from /metrics, which shows %d label sets (--label-sets): %s",
        *(store.cap, "; ".join(str(labels._asdict()) for labels in room.hidden)),
    )
    if room.forgotten:
        LOGGER.info("%d hidden label sets were forgotten: they begin anew", room.forgotten)
    return {"label_sets_hidden": len(room.hidden)}
