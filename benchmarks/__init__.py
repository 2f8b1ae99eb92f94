"""The overhead suite: workloads, configurations and peers on top of ``agent.overhead``."""
