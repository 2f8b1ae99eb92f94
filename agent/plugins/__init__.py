"""Plugins for other people's benchmark tools, found by their entry points (pyproject.toml)."""
