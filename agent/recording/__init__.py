"""The run: its states, its owner, and the document that it produces."""
