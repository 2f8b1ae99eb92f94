"""Code shared by the agent, its supervisor and the compiler process. Standard library only."""
