"""The two processes of a serving agent: one privileged, one that serves."""
