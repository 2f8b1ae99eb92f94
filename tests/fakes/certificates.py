"""Certificates of the tests' own: each authority signs its own, and nobody else trusts it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Files:
    """Paths of a certificate, its key, and the certificate of who signed it."""

    certificate: Path
    key: Path
    authority: Path

    @property
    def both(self) -> tuple[str, str]:
        return str(self.certificate), str(self.key)


EXPIRED = datetime(2001, 1, 1)


def issued(folder: Path, *names: str, until: datetime | None = None) -> Files:
    """Write a new certificate for these names and addresses, with its key and its authority."""
    authority = trustme.CA()
    issued = authority.issue_cert(*(names or ("127.0.0.1", "localhost")), not_after=until)
    files = Files(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    folder.mkdir(exist_ok=True)
    authority.cert_pem.write_to_path(files.authority)
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(files.key)
    files.key.chmod(0o600)
    return files
