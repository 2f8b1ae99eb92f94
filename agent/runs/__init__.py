"""``chainbench-agent runs``: what is kept, listed, shown, exchanged and deleted."""
