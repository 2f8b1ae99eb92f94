"""The privileged process: holds maps, programs and links. Standard library only."""
