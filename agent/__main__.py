"""``python -m agent`` is ``chainbench-agent``."""

import sys

from agent.client.isolation import isolate


def main() -> int:
    """Run the command line in an isolated interpreter, and return the exit status."""
    isolate("agent")
    # only now: until here, the caller may have chosen where modules are imported from
    from agent import cli
    from agent.terminal.streams import run_command

    return run_command(cli.main)


if __name__ == "__main__":
    sys.exit(main())
