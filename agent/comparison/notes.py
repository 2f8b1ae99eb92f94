"""What the result of a comparison does not tell, and what may or may not be intended."""

from agent.comparison.clock import was_set_back
from agent.comparison.comparable import Sides
from agent.comparison.designs import GROUPS
from agent.comparison.order import SEQUENTIAL, UNKNOWN
from agent.words import Json

NOT_VARIED = "the layout of memory and the size of the environment were not varied"
ONE_AFTER_THE_OTHER = (
    "one side was run after the other: whatever else changed between them is in the difference"
)
NO_ORDER = "when the runs were made is not known, so no drift can be seen"
CLOCK_SET_BACK = (
    "the clock was set back while the runs of a series were made (later rounds have earlier times),"
    " so the order of the runs is not known, and no drift can be seen"
)
DATASETS = "the sides have different datasets (the label)"


def notes(result: Json, kept: Sides) -> list[str]:
    """Return the notes on a comparison of these runs."""
    is_in_blocks = result["method"] == GROUPS.name and result["order"] == SEQUENTIAL
    datasets = [{run.labels.get("dataset", "") for run in runs} for runs in kept.values()]
    is_set_back = was_set_back([run for runs in kept.values() for run in runs])
    found = {
        NOT_VARIED: True,
        ONE_AFTER_THE_OTHER: is_in_blocks,
        NO_ORDER: result["order"] == UNKNOWN and not is_set_back,
        CLOCK_SET_BACK: is_set_back,
        DATASETS: datasets[0] != datasets[1],
    }
    return [note for note, applies in found.items() if applies]
