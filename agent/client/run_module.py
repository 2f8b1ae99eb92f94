"""Run a module of a package in a given folder: ``python -I -S run_module.py FOLDER MODULE ...``.

`agent.client.interpreter` starts this script and explains why it is needed. The folder comes after
the standard library on the path, so that it cannot shadow a standard module, and before
site-packages, so that its copy of the package takes precedence.
"""

import runpy
import site
import sys


def main() -> None:
    _, folder, module, *arguments = sys.argv
    sys.path.append(folder)
    # Add the environment's site-packages, which -S left out; -I still excludes the user's.
    site.main()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
