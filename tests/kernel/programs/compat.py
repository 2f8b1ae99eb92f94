"""A 64-bit program that makes calls of the 32-bit table with ``int $0x80`` (x86-64).

    compat.py CALLS

For each order it calls getpid CALLS times (number 20, which is writev in the 64-bit table). Then it
calls poll once (168; swapon in the 64-bit table) without a descriptor, which waits 20 ms.
"""

import ctypes
import mmap
import sys

from protocol import say, wait

GETPID, POLL = 20, 168
WAIT_MS = 20
# push rbx; mov eax, edi; xor ebx, ebx; xor ecx, ecx; mov edx, esi; int 0x80; pop rbx; ret
CODE = bytes.fromhex("53 89f8 31db 31c9 89f2 cd80 5b c3")


def main(calls: int) -> None:
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(address)
    say()
    while wait():
        for _ in range(calls):
            call(GETPID, 0)
        call(POLL, WAIT_MS)
        say()


main(int(sys.argv[1]))
