"""Process startup: one process stays privileged and small, the other serves without privileges.

    chainbench-agent      the supervisor: holds programs and links, compiles, no network
     └─ cba-agent         no capability, not root: Trio, HTTP, folding

They are one fork apart, so they share the interpreter's memory.
"""

import contextlib
import gc
import os
import platform
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from agent.http.listener import open_listener
from agent.http.unix_listener import unix_listener
from agent.processes import data_folder
from agent.processes.activation import inherited_listeners
from agent.processes.errors import CannotServe, complain
from agent.processes.exposure import check_exposure
from agent.processes.left_out import leave_out
from agent.processes.signals import ending_signals
from agent.processes.tokens import requires_token
from agent.settings import Settings
from agent.streams.shared import channel, limits, privileges


def serve(settings: Settings) -> int:
    """Run the agent until a signal ends it; return the exit status."""
    with contextlib.ExitStack() as until_ended:
        try:
            uid = uid_to_become(settings)
            _ensure_data_folder(settings, uid)
            listeners = inherited_listeners() or [_listener(settings)]
            listeners += _unix_listeners(settings, listeners, until_ended)
            check_exposure(settings, listeners, requires_token(settings))
            return _serve(settings, listeners, uid)
        except CannotServe as error:
            complain(str(error))
            return 1


def _serve(settings: Settings, listeners: Sequence[socket.socket], uid: int | None) -> int:
    # The directory that it was started in may be removed, or be unreadable to the other user.
    os.chdir("/")
    leave_out()
    ending = ending_signals()
    if settings.mock:
        return _serve_mock(settings, listeners, uid, ending)
    if platform.system() != "Linux":
        from agent.processes.serving import serve_without_supervisor

        return serve_without_supervisor(settings, listeners, ending)
    try:
        supervise = _fork(settings, listeners, uid, ending)
    except OSError as error:
        if not _names_limit(error):
            raise
        return 1
    return supervise()


def _names_limit(error: BaseException) -> bool:
    """Report an error while starting as the limit that it met; return False if it met none."""
    number = error.errno if isinstance(error, OSError) else None
    limit = limits.no_process("the agent cannot start", number)
    if limit is not None:
        complain(limit.message)
    return limit is not None


def _serve_mock(
    settings: Settings, listeners: Sequence[socket.socket], uid: int | None, ending: frozenset[int]
) -> int:
    """Serve synthetic events from this process, without the privileges that it may have.

    Raises `CannotServe`.
    """
    from agent.processes.mocking import serve_mock
    from agent.processes.preparing import filter_calls, prepare

    prepared = prepare(settings, listeners)
    if platform.system() == "Linux":
        privileges.name_process("cba-agent")
        try:
            privileges.drop_everything(uid)
        except privileges.CannotDrop as error:
            raise CannotServe(str(error)) from error
        filter_calls()
    return serve_mock(settings, listeners, ending, prepared)


def _fork(
    settings: Settings, listeners: Sequence[socket.socket], uid: int | None, ending: frozenset[int]
) -> Callable[[], int]:
    """Start the agent, and return what this process is to do: run as its supervisor."""
    supervisor_end, agent_end = channel.pair()
    supervisor_pid = os.getpid()
    # Collecting garbage writes to every object that was there before the fork, which would copy the
    # page: 1.7 MB of the two processes' memory, if those objects were not left out from here on.
    gc.collect()
    gc.freeze()
    # Until its handlers are set, a signal would end the supervisor and leave the agent behind.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    agent_pid = os.fork()
    if agent_pid == 0:
        supervisor_end.close()
        # During the imports a signal ends the process quietly; later its tasks handle it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _be_the_agent(settings, listeners, agent_end, supervisor_pid, uid, ending)
    agent_end.close()
    for listener in listeners:
        listener.close()
    from agent.streams.supervisor.process import run

    certificate_files = settings.tls_files or ()
    return partial(
        run,
        supervisor_end,
        agent_pid,
        ending,
        mask,
        settings.compile_deadline_s,
        certificate_files,
    )


def _be_the_agent(
    settings: Settings,
    listeners: Sequence[socket.socket],
    channel: socket.socket,
    supervisor_pid: int,
    uid: int | None,
    ending: frozenset[int],
) -> NoReturn:
    """Run the agent and exit, even on errors: the stack below belongs to the supervisor."""
    status = 1
    try:
        from agent.processes.collecting import serve_beside_supervisor

        status = serve_beside_supervisor(settings, listeners, channel, supervisor_pid, uid, ending)
    except BaseException as error:  # noqa: BLE001  the last frame of this process
        if not _names_limit(error):
            traceback.print_exc()
    finally:  # whatever the report of an error raises
        os._exit(status)


def _listener(settings: Settings) -> socket.socket:
    try:
        return open_listener(settings.host, settings.port)
    except OSError as error:
        limit = limits.reached("opening the port", error.errno)
        raise CannotServe(limit.message if limit else error.strerror) from error


def _unix_listeners(
    settings: Settings, passed: Sequence[socket.socket], until: contextlib.ExitStack
) -> list[socket.socket]:
    """Return the Unix socket that is asked for, if any; its file is removed with ``until``.

    One that a service manager has ``passed`` is not opened again.
    """
    if settings.socket is None or settings.socket.path in map(_path, passed):
        return []
    check_system_of_socket()
    try:
        return [until.enter_context(unix_listener(settings.socket))]
    except OSError as error:
        limit = limits.reached("opening the socket", error.errno)
        raise CannotServe(limit.message if limit else error.strerror) from error


def check_system_of_socket() -> None:
    """Raise `CannotServe` where a Unix socket does not say who connects."""
    if platform.system() != "Linux":
        raise CannotServe("--socket needs Linux, whose kernel says who connected (SO_PEERCRED)")


def _path(listener: socket.socket) -> str:
    """Return the path of a Unix socket; of others, which have none, an empty string."""
    return str(listener.getsockname()) if listener.family == socket.AF_UNIX else ""


def _ensure_data_folder(settings: Settings, uid: int | None) -> None:
    """Make the folder of --data-dir, if there is to be one and only it is missing."""
    if settings.data_dir is None:
        return
    check_owner_of_data(settings)
    own = os.geteuid() if uid is None else uid
    try:
        data_folder.ensure(settings.data_dir, own, privileges.gid_of(own))
    except OSError as error:
        raise CannotServe(error.strerror) from error


def check_owner_of_data(settings: Settings) -> None:
    """Raise `CannotServe` if what is kept would belong to nobody in particular."""
    if settings.user is None and _changes_user():
        raise CannotServe(
            "--data-dir needs --user when the agent is started as root: without it the serving"
            " process is another user each time, and the runs of the last one would not be its own"
        )


def uid_to_become(settings: Settings) -> int | None:
    """Return the uid for the agent; None means to stay the current user.

    That is not root, but in a user namespace that has no other user: see `privileges`.
    """
    try:
        if settings.user is None:
            return privileges.unused_uid() if _changes_user() else None
        uid = privileges.uid_of(settings.user)
    except privileges.NoUnusedUid as error:
        raise CannotServe(f"{error}; choose one with --user") from error
    except KeyError as error:
        raise CannotServe(
            f"--user {settings.user or repr(settings.user)}: there is no such user"
        ) from error
    if uid == 0:
        raise CannotServe(f"--user {settings.user}: the serving process must not be root")
    return uid


def _changes_user() -> bool:
    """Whether the agent has to become another user when none is named."""
    return os.getuid() == 0 and not privileges.root_is_alone()
