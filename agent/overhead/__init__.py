"""Measurement of the overhead of collecting. It uses the agent's HTTP API, not its internals.

In each round, a workload runs bare, with a configuration armed, and bare again. Every figure is a
median over such pairs with a bootstrap interval. Differences below the noise floor do not count.
"""
