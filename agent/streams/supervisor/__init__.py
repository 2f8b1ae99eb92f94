"""The privileged process, which holds maps, programs and links. Standard library only."""
