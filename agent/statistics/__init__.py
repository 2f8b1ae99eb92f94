"""Statistics of repeated runs: pure functions, without clock or I/O.

The run is the unit. What happened many times within a run is one observation of each of its sums.
"""
