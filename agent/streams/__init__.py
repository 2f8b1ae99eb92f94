"""The path from kernel events to arrays: probes, the privileged side, readers. No folding here."""
