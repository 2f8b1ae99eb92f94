"""Run a command whose controlling terminal is standard input: ``on_terminal.py COMMAND ...``.

The caller must have started this in a session of its own.
"""

import fcntl
import os
import signal
import sys
import termios

# whoever runs the tests may ignore them, as nohup does
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
