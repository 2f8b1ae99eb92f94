"""What the agent, its supervisor and the compiling process all need. Standard library only."""
