"""TLS for the client: https URLs. Imported only for those, since ssl takes long to import."""

import socket
import ssl

from agent.client.access import CA_FILE, Access, NotAsked
from agent.regular_files import read_regular

LARGEST = 1 << 20
"""Bytes of a file of certificates. All that a distribution trusts take a quarter of that."""


def encrypted(sock: socket.socket, host: str, access: Access) -> ssl.SSLSocket:
    """Return a connection over ``sock``, which it takes over, to the holder of a certificate.

    The certificate has to be for ``host``, and signed by one of those in ``access.ca_file``, or if
    that is empty by one that the system trusts. Raises OSError, with the cure in its text.
    """
    context = _trusting(access.ca_file) if access.ca_file else ssl.create_default_context()
    if access.unverified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise OSError(
            error.errno,
            f"its certificate is not trusted: {error.verify_message}. The file that {CA_FILE} names"
            " has to hold the certificate that signed it, or the certificate itself",
        ) from error
    except (ssl.SSLError, ConnectionResetError) as error:
        raise OSError(
            error.errno,
            f"no TLS with it ({_reason(error)}); an agent that serves none has a URL of http://",
        ) from error


def _reason(error: OSError) -> str:
    """Return OpenSSL's reason in words, such as "wrong version number", or the system's."""
    named = error.reason if isinstance(error, ssl.SSLError) else None
    return named.lower().replace("_", " ") if named else error.strerror or str(error)


def _trusting(ca_file: str) -> ssl.SSLContext:
    """Return what trusts the certificates of a file, and no others. Raises `NotAsked`."""
    try:
        # OpenSSL itself would wait for who writes to a pipe
        text = read_regular(ca_file, LARGEST).decode("ascii", "replace").replace("\ufffd", "?")
        # not nothing, for which the system's certificates would be trusted
        return ssl.create_default_context(cadata=text or "\n")
    except OSError as error:  # ssl.SSLError is one as well
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise NotAsked(error.errno, f"{ca_file} ({CA_FILE}) cannot be used: {why}") from error
