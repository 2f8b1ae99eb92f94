"""The commands of ``python -m benchmarks``, each with its options."""
