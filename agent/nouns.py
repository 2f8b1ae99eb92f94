"""Nouns next to a count, in texts that people read. Standard library only, Python 3.9."""


def counted(number: int, one: str) -> str:
    """Return a count with what is counted: ``1 time``, ``12,655 switches``."""
    return agreeing(f"{number:,}", one)


def agreeing(shown: str, one: str) -> str:
    """Return a number as it is shown, and the noun in the form that goes with it."""
    return f"{shown} {one if shown == '1' else plural(one)}"


def plural(one: str) -> str:
    """Return the plural: flushes, switches, processes, latencies, execs."""
    if one.endswith(("sh", "ch", "ss")):
        return f"{one}es"
    return f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"


def singular(many: str) -> str:
    """Return the singular of a unit of the checks: switch, fork."""
    return many[:-2] if many.endswith(("shes", "ches")) else many.removesuffix("s")
