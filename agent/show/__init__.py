"""Evidence rendered as text for people."""
