"""HTTPS: the same server, encrypted, whatever its clients do and while its certificate changes."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from fakes.certificates import EXPIRED, Files, issued
from fakes.http_server import RunningServer, running_server
from fakes.raw_http import ASKS_STATUS, SLOW_HEADERS, fill_metrics, read_to_end, reads_status
from fakes.waiting import eventually

from agent.client import http_client
from agent.client.access import Access as ClientAccess
from agent.client.http_client import AgentClient, AgentUnreachable
from agent.http.certificate import BadCertificate, Certificate, Pem
from agent.http.settings import HttpSettings


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return issued(tmp_path_factory.mktemp("tls"))


def pem(files: Files) -> Pem:
    return Pem(files.certificate.read_bytes(), files.key.read_bytes())


@pytest.fixture
def certificate(files: Files) -> Certificate:
    return Certificate(pem(files))


@pytest.fixture
def server(certificate: Certificate) -> Iterator[RunningServer]:
    with running_server(HttpSettings(certificate=certificate)) as server:
        server.url = server.url.replace("http", "https")
        yield server


def encrypted(
    server: RunningServer, files: Files, sock: socket.socket | None = None
) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(files.authority))
    return context.wrap_socket(sock or server.connect(), server_hostname="127.0.0.1")


def test_the_plain_client_needs_nothing_but_the_authority(
    server: RunningServer, files: Files
) -> None:
    session = requests.Session()
    session.trust_env = False  # REQUESTS_CA_BUNDLE would take precedence
    session.verify = str(files.authority)
    assert session.post(f"{server.url}/start", json={"scope": "caller"}).status_code == 200
    assert session.post(f"{server.url}/stop").json()["available"] is True
    (request,) = server.recorder.requests
    assert request.scope.server == ("127.0.0.1", server.port)


def test_our_own_client_keeps_its_connection(server: RunningServer, files: Files) -> None:
    client = AgentClient(server.url, access=ClientAccess(ca_file=str(files.authority)))
    assert client.post("/start", {})["status"] == "started"
    with client.connection() as connection:
        for _ in range(3):
            assert b"test-machine" in connection.send("GET", "/status")


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    server: RunningServer, tmp_path: Path
) -> None:
    other = issued(tmp_path / "other")
    with pytest.raises(AgentUnreachable, match=r"not trusted: .*CHAINBENCH_AGENT_CA_FILE"):
        AgentClient(server.url).get("/status")
    with pytest.raises(AgentUnreachable, match="not trusted"):
        AgentClient(server.url, access=ClientAccess(ca_file=str(other.authority))).get("/status")


def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path) -> None:
    files = issued(tmp_path / "named", "elsewhere.example")
    settings = HttpSettings(certificate=Certificate(pem(files)))
    with running_server(settings) as server:
        url = server.url.replace("http", "https")
        client = AgentClient(url, access=ClientAccess(ca_file=str(files.authority)))
        with pytest.raises(AgentUnreachable, match="not trusted"):
            client.get("/status")


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_an_authority_that_cannot_be_used_is_named(
    server: RunningServer, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(AgentUnreachable, match=rf"{path} \(CHAINBENCH_AGENT_CA_FILE\) cannot be"):
        AgentClient(server.url, access=ClientAccess(ca_file=str(path))).get("/status")


def test_a_client_that_does_not_encrypt_gets_nothing_and_disturbs_nobody(
    server: RunningServer, files: Files
) -> None:
    with server.connect() as sock:
        sock.sendall(ASKS_STATUS)
        assert b"HTTP/1.1 200" not in read_to_end(sock)
    with encrypted(server, files) as client:
        client.sendall(ASKS_STATUS)
        assert reads_status(client)


def test_our_client_says_which_of_the_two_does_not_encrypt(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "KNOWN_PLAIN", set())  # an earlier one may have had this port
    with pytest.raises(AgentUnreachable, match=r"serves TLS has a URL of https://"):
        AgentClient(server.url.replace("https", "http")).get("/status")
    with running_server() as plain:
        with pytest.raises(AgentUnreachable, match=r"no TLS with it \(.+\).*URL of http://"):
            AgentClient(plain.url.replace("http", "https")).get("/status")
        assert AgentClient(plain.url).get("/status")["machine"] == "test-machine"


def test_who_does_not_shake_hands_is_let_go(certificate: Certificate, files: Files) -> None:
    limits = HttpSettings(certificate=certificate, handshake_timeout=0.2)
    with running_server(limits) as server:
        with server.connect() as silent, server.connect() as slow:
            slow.sendall(b"\x16\x03\x01\x02")
            assert read_to_end(silent) == read_to_end(slow) == b""
        eventually(lambda: is_served_in_time(server, files))


def is_served_in_time(server: RunningServer, files: Files) -> bool:
    """Return whether a client shakes hands and is answered; on a busy machine it may be late."""
    try:
        with encrypted(server, files) as client:
            client.sendall(ASKS_STATUS)
            return reads_status(client)
    except OSError:
        return False


def test_who_shakes_hands_makes_room_for_others(certificate: Certificate, files: Files) -> None:
    limits = HttpSettings(certificate=certificate, max_connections=2)
    with (
        running_server(limits) as server,
        server.connect(),
        server.connect(),
        encrypted(server, files) as client,
    ):
        client.sendall(ASKS_STATUS)
        assert reads_status(client)


def test_whatever_clients_do_it_ends(certificate: Certificate, files: Files) -> None:
    with (
        running_server(HttpSettings(certificate=certificate, grace=0.2)) as server,
        server.connect(),
        encrypted(server, files) as idle,
        encrypted(server, files) as slow,
        encrypted(server, files, server.connect(receive_buffer=4096)) as deaf,
    ):
        fill_metrics(server)
        idle.sendall(ASKS_STATUS)
        assert reads_status(idle)
        slow.sendall(SLOW_HEADERS)
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert deaf.recv(1) == b"H"
        assert server.shut_down()


def test_a_long_page_arrives_whole(server: RunningServer, files: Files) -> None:
    fill_metrics(server)
    page = requests.get(f"{server.url}/metrics", verify=str(files.authority)).text
    assert len(page) > 1_000_000
    assert page.endswith("\n")


def test_the_answer_to_a_connections_last_request_arrives_whole(
    server: RunningServer, files: Files
) -> None:
    with encrypted(server, files) as client:
        client.sendall(ASKS_STATUS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"more")
        assert read_to_end(client).endswith(b"}\n")


def test_new_connections_get_the_new_certificate_and_old_ones_go_on(
    server: RunningServer, files: Files, certificate: Certificate, tmp_path: Path
) -> None:
    renewed = issued(tmp_path / "renewed")
    with encrypted(server, files) as old:
        old.sendall(ASKS_STATUS)
        assert reads_status(old)
        server.call(lambda: certificate.replace(pem(renewed)))
        old.sendall(ASKS_STATUS)
        assert reads_status(old)
        with encrypted(server, renewed) as new:
            new.sendall(ASKS_STATUS)
            assert reads_status(new)
    with closing(server.connect()) as sock, pytest.raises(ssl.SSLCertVerificationError):
        encrypted(server, files, sock)


def _damaged(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([lines[0], *lines[2:]])


def test_what_is_wrong_with_a_certificate_is_named(files: Files, tmp_path: Path) -> None:
    other = issued(tmp_path / "other")
    good = pem(files)
    for wrong, words in [
        (Pem(good.certificate, other.key.read_bytes()), "the key is not that of the certificate"),
        (Pem(b"", good.key), "there is no certificate in the certificate's file"),
        (Pem(good.certificate, b"nonsense"), "there is no private key in the key's file"),
        (Pem(b"", b""), "no certificate in the certificate's file and no private key in the key's"),
        (Pem(good.key, good.certificate), "the two files are swapped"),
        (Pem(_damaged(good.certificate), good.key), "the certificate, or .* is damaged"),
        (
            Pem(good.certificate + _damaged(good.certificate), good.key),
            "the certificate, or one of those after it",
        ),
        (Pem(good.certificate, _damaged(good.key)), "the key cannot be read"),
        (Pem(good.certificate, good.key[:-60]), "the key cannot be read"),
    ]:
        with pytest.raises(BadCertificate, match=words):
            Certificate(wrong)


def test_one_that_has_expired_is_served_and_is_known_to_have(
    certificate: Certificate, files: Files, tmp_path: Path
) -> None:
    assert certificate.faults == []
    expired = issued(tmp_path / "expired", until=EXPIRED)
    certificate.replace(pem(expired))
    assert certificate.faults == ["the certificate has expired: clients refuse it"]
    good, key = pem(expired)[:2]
    [fault] = Certificate(Pem(good + expired.authority.read_bytes(), key)).faults
    assert fault.startswith("the certificate, or one of those after it in its file, has expired")
    certificate.replace(pem(files))
    assert certificate.faults == []


def test_a_chain_that_has_not_expired_has_no_fault(files: Files) -> None:
    good, key = pem(files)[:2]
    assert Certificate(Pem(good + files.authority.read_bytes(), key)).faults == []


def test_a_bad_one_does_not_replace_a_good_one(certificate: Certificate, files: Files) -> None:
    context, faults = certificate.context, certificate.faults
    with pytest.raises(BadCertificate):
        certificate.replace(Pem(b"", b""))
    assert certificate.context is context
    assert certificate.faults is faults


def test_nobody_is_asked_for_the_password_of_a_key(files: Files) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    encrypted_key = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(BadCertificate, match="the key is encrypted"):
        Certificate(Pem(files.certificate.read_bytes(), encrypted_key))
