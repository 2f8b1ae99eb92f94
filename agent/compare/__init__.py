"""``chainbench-agent compare``: which runs are meant, and what is made of their comparison."""
