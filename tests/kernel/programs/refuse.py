"""A launcher of a command for which the kernel refuses one syscall, as a container's filter would.

refuse.py NUMBER COMMAND...
"""

import os
import sys

from filters import refuse

refuse(int(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
