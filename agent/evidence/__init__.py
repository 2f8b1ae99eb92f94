"""What a run comes to: its events folded, its sections, and how far they can be trusted.

Between the two sides that do not know each other: ``agent.streams`` delivers, ``agent.aggregate``
folds. Nothing here waits for anything, so nothing here knows Trio's tasks.
"""
