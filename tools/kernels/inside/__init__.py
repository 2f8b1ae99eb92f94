"""What runs in a guest, under the interpreter that has the agent's wheel."""
