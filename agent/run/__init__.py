"""A command, or what already runs, with a run of an agent around it, and a report of it."""
