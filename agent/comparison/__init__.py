"""How runs differ, and why: pure functions of what they took and of their evidence.

Where the runs come from does not matter: `run` compares its own, `compare` those that were kept.
"""
