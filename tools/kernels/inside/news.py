"""Tell whoever waits for a guest how far it is."""

import sys


def say(text: str) -> None:
    """Print a line that the host passes on (``NEWS`` of tools/kernels/guest.py)."""
    for line in text.splitlines():
        sys.stdout.write(f"@@ {line}\n")
    sys.stdout.flush()
