"""A trial before the first round: what cannot be armed here is known before anybody has waited."""

from collections.abc import Iterable, Mapping, Sequence

from agent.overhead.protocols import Absent, CannotMeasure, Configuration, Missing


def not_armed(together: Configuration, each: Iterable[Configuration]) -> dict[str, Missing]:
    """Return why some of ``each`` cannot be armed, without a workload.

    They are tried one by one only if ``together``, which collects all that they do, fails: to arm
    each of them takes long where all is well, and one may work where all of them exceed a limit.
    """
    if _tried(together) is None:
        return {}
    return {one.name: missing for one in each if (missing := _tried(one))}


def without(
    configurations: Iterable[Configuration], missing: Mapping[str, Missing]
) -> Sequence[Configuration]:
    """Return the configurations, those that are ``missing`` as absent."""
    return [
        Absent(one.name, one.label, missing[one.name]) if one.name in missing else one
        for one in configurations
    ]


def _tried(configuration: Configuration) -> Missing | None:
    try:
        with configuration.armed():
            return None
    except CannotMeasure as error:
        return error.missing
