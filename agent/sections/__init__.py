"""One folder per section of the evidence, and the registries that everything else loops over.

A section's folder holds what belongs to it alone:

    probe.py      what it needs from the kernel: programs, fields, streams, tables
    layout.py     numbers that its C files and its Python files agree on
    *.c, *.h      its programs
    evidence.py   how its events are folded, its part of the evidence, its checks
    metrics.py    its metric families
    show.py       its title and its lines of terminal output

The privileged side imports ``probe.py`` too, so that file and what it imports need nothing but the
standard library. The registries are separate for the same reason: ``probes`` for what the
kernel side needs, ``registry`` for evidence and metrics, ``shown`` for terminal output. To add a
section, add a folder and a line in each of the three.
"""
