"""Measures what collecting costs a workload; knows nothing of the agent's inside, only its HTTP.

A workload is run bare, with a configuration armed, and bare again, round by round; every figure
is a median over such pairs with a bootstrap interval, and none below the noise floor counts.
"""
