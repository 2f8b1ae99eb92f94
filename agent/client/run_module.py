"""Run a module of a package in a given folder: ``python -I -S run_module.py FOLDER MODULE ...``.

What `agent.client.interpreter` has an interpreter run; it says why. The folder comes after the
standard library, so that nothing in it hides a module of that, and before what is installed, so
that its package is the one that runs.
"""

import runpy
import site
import sys


def main() -> None:
    _, folder, module, *arguments = sys.argv
    sys.path.append(folder)
    # What -S left out: the environment's site-packages, never the user's because of -I.
    site.main()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
