"""A launcher of a command to which the kernel refuses one syscall, as a container's filter would.

refuse.py NUMBER COMMAND...            with EPERM
refuse.py NUMBER:FIRST COMMAND...      only if that is the call's first argument
refuse.py NUMBER:hidden COMMAND...     with ENOSYS
"""

import os
import sys

from filters import hide, refuse, refuse_command

number, _, how = sys.argv[1].partition(":")
if how == "hidden":
    hide(int(number))
elif how:
    refuse_command(int(number), int(how))
else:
    refuse(int(number))
os.execvp(sys.argv[2], sys.argv[2:])
