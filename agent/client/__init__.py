"""Starting an agent and talking to it, for programs that are not the agent."""
