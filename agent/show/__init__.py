"""Evidence for a person: rendered as text, and a demonstration that makes some."""
