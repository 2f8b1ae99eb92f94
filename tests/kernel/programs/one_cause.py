"""Do one thing for longer: argv is what, how much, and a file to sync."""

import os
import sys
import threading
import time

what, amount, *file = sys.argv[1:]
much = int(amount)

if what == "compute":
    end = time.process_time() + much / 1e3
    while time.process_time() < end:
        pass
elif what == "sleep":
    time.sleep(much / 1e3)
elif what == "sync":
    descriptor = os.open(file[0], os.O_CREAT | os.O_WRONLY)
    for _ in range(much):
        os.write(descriptor, b"x" * 4096)
        os.fsync(descriptor)
elif what == "lock":
    locks = [threading.Lock() for _ in range(much)] * (2 // much)

    def hold(lock: threading.Lock) -> None:
        for _ in range(15):
            with lock:
                time.sleep(0.01)
            time.sleep(0.001)

    threads = [threading.Thread(target=hold, args=(lock,)) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
