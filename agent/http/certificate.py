"""The certificate and key of TLS connections, which can be replaced while the agent serves."""

import os
import ssl
from typing import NamedTuple, NoReturn

from agent.http.certificate_dates import wrong_with_dates

PROTOCOLS = ["http/1.1"]
"""Offered by ALPN: a client that insists on HTTP/2 is told at once."""

MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")
CERTIFICATE, KEY = b"CERTIFICATE-----", b"PRIVATE KEY-----"
"""How the first lines of certificates and keys end, of whichever kind."""

KEY_IS_OPEN = "everybody may read or write the key's file: chmod o= takes that away"


class BadCertificate(Exception):
    """TLS cannot be served with these files; the text says why."""


class Pem(NamedTuple):
    """The contents of two files: the certificate, with those that lead to its issuer, and its key.

    Given as bytes, because the process that serves may not be able to read the files themselves.
    """

    certificate: bytes
    key: bytes
    key_is_open: bool = False
    """Whether its file may be read or written by everybody."""


class Certificate:
    """What new connections are encrypted with; those that stand keep what they began with."""

    def __init__(self, pem: Pem) -> None:
        """Raises `BadCertificate`."""
        self.context = _context(pem)
        self.faults = _faults(self.context, pem)
        """What is wrong with it, although it can be served."""

    def replace(self, pem: Pem) -> None:
        """Use another one from now on. Raises `BadCertificate`, and goes on with the old one."""
        context = _context(pem)
        self.context, self.faults = context, _faults(context, pem)


def _context(pem: Pem) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(PROTOCOLS)
    fds: list[int] = []
    try:
        fds += [_in_memory(content) for content in (pem.certificate, pem.key)]
        certificate, key = (f"/proc/self/fd/{fd}" for fd in fds)
        context.load_cert_chain(certificate, key, password=_refuse_encrypted)
    except ssl.SSLError as error:
        raise BadCertificate(_in_words(error, pem)) from error
    except OSError as error:
        raise BadCertificate(f"{error.strerror} (it is read through /proc/self/fd)") from error
    finally:
        for fd in fds:
            os.close(fd)
    return context


def _faults(context: ssl.SSLContext, pem: Pem) -> list[str]:
    of_dates = wrong_with_dates(context, _text(pem.certificate))
    return [*([of_dates] if of_dates else []), *([KEY_IS_OPEN] if pem.key_is_open else [])]


def _in_memory(content: bytes) -> int:
    """Return the descriptor of a file without a name: the library reads files only."""
    fd = os.memfd_create("cba-tls", os.MFD_CLOEXEC)
    os.write(fd, content)
    return fd


def _refuse_encrypted() -> NoReturn:
    raise BadCertificate("the key is encrypted: a service has nobody to ask for its password")


def _in_words(error: ssl.SSLError, pem: Pem) -> str:
    """Return which of the two files is to blame, where that can be told."""
    if error.reason in MISMATCHES:
        return "the key is not that of the certificate"
    if missing := _missing(pem):
        return missing
    if not _is_readable(pem.certificate):
        return "the certificate, or one of those after it in its file, is damaged"
    if "PEM lib" in str(error):
        # what cannot be parsed has no other reason, and of the certificate all can be
        return "the key cannot be read: it is damaged, or of a kind that is not known"
    return f"OpenSSL refuses the certificate or the key ({error.reason or error})"


def _missing(pem: Pem) -> str:
    """Return what the files do not have, by the first lines of what they do; empty if all."""
    has_certificate, has_key = CERTIFICATE in pem.certificate, KEY in pem.key
    if not has_certificate and not has_key and KEY in pem.certificate and CERTIFICATE in pem.key:
        return "the two files are swapped: the certificate's has a key, the key's a certificate"
    missing = [
        *([] if has_certificate else ["no certificate in the certificate's file"]),
        *([] if has_key else ["no private key in the key's file"]),
    ]
    return f"there is {' and '.join(missing)} (in PEM)" if missing else ""


def _is_readable(content: bytes) -> bool:
    """Return whether a certificate and those that follow it can be parsed."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=_text(content))
    except ssl.SSLError:
        return False
    return True


def _text(content: bytes) -> str:
    """Return what is in a file; what is no ASCII is outside of what PEM encodes."""
    return content.decode("ascii", "replace").replace("\ufffd", "?")
