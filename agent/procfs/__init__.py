"""Totals of a run from /proc, where eBPF is unavailable: no distributions, no events."""
