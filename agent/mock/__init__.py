"""``--mock``: a synthetic kernel side, for people who build a runner or a dashboard without eBPF.

It writes tables and records as the programs do. Everything above them is the agent's own: reading,
folding, checks, verdict, evidence, metrics.
"""
