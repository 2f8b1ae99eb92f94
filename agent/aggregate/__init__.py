"""Values into distributions and counters.

Knows nothing of Trio, of HTTP or of where a value came from.
"""
