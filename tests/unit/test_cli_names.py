"""Addresses, host names and labels on the command line: as people write them, or refused."""

import pytest
from fakes.command_line import exit_status

from agent.cli import main
from agent.settings import Settings


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("::", "::"),
        ("0.0.0.0", "0.0.0.0"),
        ("LocalHost.", "localhost"),
        ("bench-7", "bench-7"),
    ],
)
def test_the_address_to_bind_may_be_written_as_in_a_url(
    served: list[Settings], written: str, bound: str
) -> None:
    assert main(["--host", written]) == 0
    assert served == [Settings(host=bound)]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "use 0.0.0.0 (IPv4) or :: (IPv6)"),
        ("*", "use 0.0.0.0 (IPv4) or :: (IPv6)"),
        ("localhost:9191", "give it separately: --host localhost --port 9191"),
        ("[::1]:9191", "give it separately: --host ::1 --port 9191"),
        ("http://localhost:9191/", "is not an address or a name"),
        ("[::1", "is not an address or a name"),
        ("[localhost]", "is not an address or a name"),
        ("a..b", "is not an address or a name"),
        ("x" * 64, "is not an address or a name"),
        ("\udcff", "is not an address or a name"),
    ],
)
def test_what_cannot_be_bound_is_reported(
    served: list[Settings], capsys: pytest.CaptureFixture[str], written: str, told: str
) -> None:
    assert exit_status(["--host", written]) == 2
    assert told in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ("bench.example", "bench.example"),
        ("Bench.Example.", "bench.example"),
        ("bench.example:21114", "bench.example"),
        ("http://bench.example:21114/metrics", "bench.example"),
        ("https://bench.example", "bench.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("my_container", "my_container"),
        ("::1", "::1"),
        ("[::1]:80", "::1"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_a_host_to_allow_is_what_a_browser_sends(
    served: list[Settings], written: str, allowed: str
) -> None:
    assert main(["--allow-host", written]) == 0
    assert served == [Settings(allowed_hosts=(allowed,))]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("*", "wildcards are not supported"),
        ("*.example", "wildcards are not supported"),
        ("", "is not a host name"),
        ("a,b", "is not a host name; give one name per option"),
        ("a b", "is not a host name"),
        ("http://", "is not a host name"),
        ("a/b", "is not a host name"),
        ("-a", "is not a host name"),
        ("a..b", "is not a host name"),
        ("host:port", "is not a host name"),
    ],
)
def test_a_host_that_could_never_match_is_refused(
    served: list[Settings], capsys: pytest.CaptureFixture[str], written: str, told: str
) -> None:
    assert exit_status([f"--allow-host={written}"]) == 2
    assert told in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize(
    ("machine", "told"),
    [("x" * 257, "has 257 characters"), ("a\nb", "U+000A"), ("\udcff", "U+DCFF")],
)
def test_a_machine_label_is_a_label(
    served: list[Settings], capsys: pytest.CaptureFixture[str], machine: str, told: str
) -> None:
    assert exit_status(["--machine", machine]) == 2
    assert told in capsys.readouterr().err
    assert served == []
