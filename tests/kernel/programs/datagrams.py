"""A workload that sends datagrams to itself over loopback; the kernel receives each in a softirq.

An order is the number of datagrams; the answer says how many were sent.
"""

import socket

from protocol import say, wait


def main() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        address = receiver.getsockname()
        say()
        while True:
            order = wait()
            for _ in range(int(order)):
                sender.sendto(b".", address)
                receiver.recv(1)
            say(sent=int(order))


main()
