"""Whether the machine and its kernel offer what the agent needs or can use. Standard library only.

Each feature has one of three answers: supported, not supported (why, and the cure), or unknown
(why it could not be determined). Arming asks before it tries anything, and ``/status`` shows all
answers. An unknown feature keeps nothing from being tried: the attempt then says more.
"""

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from agent.streams.shared.causes import OF_A_LIMIT, CannotCollect, cannot

EVERYTHING = "everything"


@dataclass(frozen=True)
class Support:
    """The answer for one feature."""

    feature: str
    needed_for: str
    """``everything``, or what is not available without it."""
    since: str
    """The kernel version that brought it, for people: what is tested is the feature itself."""
    supported: bool | None
    """None: unknown."""
    code: str = ""
    """A key of CURES if nothing can be measured for lack of it, otherwise empty."""
    reason: str = ""
    """Why not and the cure, or why it is unknown; empty if it is supported."""


class Missing(Exception):
    """A feature is not supported, but not everything needs it; the text has why and the cure."""


class Unknown(Exception):
    """Whether a feature is supported could not be determined; the text says why."""


@dataclass(frozen=True)
class Feature:
    """Something that a machine or its kernel may lack."""

    name: str
    check: Callable[[], None]
    """Returns if it is supported. Raises CannotCollect or Missing if it is not; Unknown, or the
    CannotCollect of a limit, if that could not be determined."""
    needed_for: str = EVERYTHING
    since: str = ""
    is_final: bool = False
    """Whether a yes holds for as long as the kernel runs. A no may be due to a moment's memory."""

    def support(self) -> Support:
        """Find out whether it is supported."""
        answer = partial(Support, self.name, self.needed_for, self.since)
        try:
            self.check()
        except CannotCollect as error:
            if error.code in OF_A_LIMIT:
                return answer(None, reason=error.message)
            return answer(False, error.code, error.message)
        except Missing as error:
            return answer(False, reason=str(error))
        except Unknown as error:
            return answer(None, reason=str(error))
        return answer(True)


def require(answers: Iterable[Support]) -> None:
    """Raise CannotCollect for the first of these without which nothing can be measured."""
    for answer in answers:
        if answer.supported is False and answer.needed_for == EVERYTHING:
            raise CannotCollect(answer.reason, code=answer.code)


def _is_linux() -> None:
    if platform.system() != "Linux":
        raise cannot("not_linux", platform.system())


LINUX = Feature("linux", _is_linux)
