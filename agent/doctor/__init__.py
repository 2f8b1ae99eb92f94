"""``doctor``: is everything there that collection needs, and what spoils benchmarks here?

Each check is a function that yields findings. What can be tried is tried: no version decides.
"""
