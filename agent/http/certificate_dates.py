"""Whether a certificate is within its dates.

The library says that to nobody but a client that refuses it, so one shakes hands with the server
here, in memory. That takes some milliseconds.
"""

import contextlib
import ssl

BEGIN = "-----BEGIN CERTIFICATE-----"
FAULTS = {9: "is not valid yet, or the clock here is wrong", 10: "has expired"}
"""By the codes X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""


def wrong_with_dates(context: ssl.SSLContext, certificate: str) -> str | None:
    """Return what is wrong with those of a server's certificate, and of its chain, in PEM."""
    fault = FAULTS.get(_refusal(context, certificate))
    if fault is None:
        return None
    or_another = ", or one of those after it in its file," if certificate.count(BEGIN) > 1 else ""
    return f"the certificate{or_another} {fault}: clients refuse it"


def _refusal(context: ssl.SSLContext, certificate: str) -> int:
    """Return the code with which a client refuses it that trusts its issuer; 0 if it does not."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what is trusted need not be a root
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        trusting.load_verify_locations(cadata=certificate)
        client = trusting.wrap_bio(to_client, to_server)
        server = context.wrap_bio(to_server, to_client, server_side=True)
        for side in (client, server, client):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_code
    except ssl.SSLError:  # for another reason: what this client thinks of it does not count
        return 0
    return 0
