"""Aggregation of values into distributions and counters.

Knows nothing about Trio, HTTP or the source of the values.
"""
