"""Text for people at a terminal: values made safe to print, charts, styles."""
