"""Boot Debian's kernels under QEMU and try the agent on each (`tox -e kernels`).

The modules, in the order in which a run uses them: ``targets`` says what is booted, ``packages``
finds and downloads kernels, ``root`` builds the guests' file system with this version of the
project in it, ``initrd`` what a kernel needs to mount that, ``guest`` boots, ``inside`` is what
runs there, ``results`` keeps what came back, and ``page`` writes docs/reference/kernels.md.
"""
