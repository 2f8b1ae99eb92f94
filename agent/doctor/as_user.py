"""A question that another user answers, in a process of its own: root's own answer says little."""

import errno
import os
import platform
from collections.abc import Callable
from typing import NoReturn

from agent.streams.shared import privileges
from agent.words import in_words


def as_user(uid: int | None, question: Callable[[], str]) -> str:
    """Return the answer of a process that has become this user as the serving process does.

    With None it stays this process's user, and only gives up its capabilities. What the question
    needs is imported before: that user may not be able to read the library. On another system than
    Linux, where `serve` stays who it is, this process answers. Raises OSError if there is none.
    """
    if platform.system() != "Linux":
        return question()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(writing, uid, question)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = os.fsdecode(pipe.read())
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(errno.ECHILD, said or "the serving process's user has not answered")
    return said


def _answer(writing: int, uid: int | None, question: Callable[[], str]) -> NoReturn:
    """Write the answer, or why there is none, and end: what called this is the parent's."""
    status = 1
    try:
        try:
            privileges.drop_everything(uid)
            said, is_answer = question(), True
        except (privileges.CannotDrop, OSError) as error:
            said, is_answer = in_words(error), False
        with open(writing, "wb") as pipe:
            pipe.write(os.fsencode(said))
        status = 0 if is_answer else 1
    finally:
        os._exit(status)
