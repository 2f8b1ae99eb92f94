"""A bundled workload with a run around it, and the evidence printed."""
