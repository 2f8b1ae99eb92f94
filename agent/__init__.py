"""chainbench-agent: kernel-level evidence for benchmark runs."""

__version__ = "0.1.0"
