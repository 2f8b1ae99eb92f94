"""Text for a person at a terminal: values made safe to print, charts, styles."""
