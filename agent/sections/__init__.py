"""One folder per section of the evidence, and the registries that everything else loops over.

A section's folder holds what belongs to it alone:

    probe.py      what it needs of the kernel: programs, fields, streams, tables, constants
    *.c, *.h      its programs
    evidence.py   how its events are folded, its part of the evidence, its checks
    metrics.py    its metric families
    show.py       its title and its lines for a person

``probe.py`` is read by the privileged side as well, so it imports the standard library and
``agent.sections.spec`` only. The registries are apart for the same reason: ``probes`` for what the
kernel side needs, ``registry`` for evidence and metrics, ``shown`` for people. A new section is a
folder and a line in each of the three.
"""
