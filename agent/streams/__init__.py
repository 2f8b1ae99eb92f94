"""From kernel events to arrays: probes, the privileged side, readers. Knows nothing of folding."""
