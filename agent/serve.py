"""Starting the processes: one stays privileged and small, the other serves and has nothing.

    chainbench-agent      the supervisor: holds programs and links, compiles, no network
     └─ agent             no capability, not root: Trio, HTTP, folding

Both are one fork apart, so they share the interpreter's memory.
"""

import os
import platform

from agent.config import Settings
from agent.http.listener import open_listener
from agent.streams import messages, privileges


def serve(settings: Settings) -> int:
    """Run the agent until SIGTERM or SIGINT; returns the exit status."""
    try:
        uid = _uid_to_become(settings)
        listener = open_listener(settings.host, settings.port)
    except (OSError, KeyError):
        return 1
    if platform.system() != "Linux":
        from agent.agent_process import serve_without_supervisor

        return serve_without_supervisor(settings, listener)
    supervisor_end, agent_end = messages.pair()
    supervisor_pid = os.getpid()
    agent_pid = os.fork()
    if agent_pid == 0:
        supervisor_end.close()
        from agent.agent_process import serve_beside_supervisor

        # not a return: the supervisor's stack is no business of this process
        os._exit(serve_beside_supervisor(settings, listener, agent_end, supervisor_pid, uid))
    agent_end.close()
    listener.close()
    from agent.streams.supervisor import run

    return run(supervisor_end, agent_pid)


def _uid_to_become(settings: Settings) -> int | None:
    """None: stay the user that we are, which is not root."""
    if settings.user is not None:
        return privileges.uid_of(settings.user)
    return privileges.unused_uid() if os.getuid() == 0 else None
