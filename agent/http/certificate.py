"""The certificate and key of TLS connections, which can be replaced while the agent serves."""

import os
import ssl
from typing import NamedTuple, NoReturn

PROTOCOLS = ["http/1.1"]
"""Offered by ALPN: a client that insists on HTTP/2 is told at once."""


class BadCertificate(Exception):
    """TLS cannot be served with these files; the text says why."""


class Pem(NamedTuple):
    """The contents of two files: the certificate, with those that lead to its issuer, and its key.

    Given as bytes, because the process that serves may not be able to read the files themselves.
    """

    certificate: bytes
    key: bytes


class Certificate:
    """What new connections are encrypted with; those that stand keep what they began with."""

    def __init__(self, pem: Pem) -> None:
        """Raises `BadCertificate`."""
        self.context = _context(pem)

    def replace(self, pem: Pem) -> None:
        """Use another one from now on. Raises `BadCertificate`, and goes on with the old one."""
        self.context = _context(pem)


def _context(pem: Pem) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(PROTOCOLS)
    fds: list[int] = []
    try:
        fds += [_in_memory(content) for content in pem]
        certificate, key = (f"/proc/self/fd/{fd}" for fd in fds)
        context.load_cert_chain(certificate, key, password=_refuse_encrypted)
    except ssl.SSLError as error:
        raise BadCertificate(_in_words(error)) from error
    except OSError as error:
        raise BadCertificate(f"{error.strerror} (it is read through /proc/self/fd)") from error
    finally:
        for fd in fds:
            os.close(fd)
    return context


def _in_memory(content: bytes) -> int:
    """Return the descriptor of a file without a name: the library reads files only."""
    fd = os.memfd_create("cba-tls", os.MFD_CLOEXEC)
    os.write(fd, content)
    return fd


def _refuse_encrypted() -> NoReturn:
    raise BadCertificate("the key is encrypted: a service has nobody to ask for its password")


def _in_words(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return f"not a certificate and its key in PEM ({error.reason or error})"
