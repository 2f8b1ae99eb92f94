"""``python -m agent`` is ``chainbench-agent``."""

import sys

from agent.cli import main

sys.exit(main())
