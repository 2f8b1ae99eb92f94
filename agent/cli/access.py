"""Options of ``serve`` that say who may use the agent over the network."""

import argparse

from agent.cli.values import file


def check_access(options: argparse.Namespace) -> None:
    """End the program if there is a certificate without a key, or a key without a certificate."""
    if (options.tls_cert is None) != (options.tls_key is None):
        options.parser.error("--tls-cert and --tls-key need each other")


def tls_files(options: argparse.Namespace) -> tuple[str, str] | None:
    """Return the files of the certificate and its key; None if there are none."""
    return None if options.tls_cert is None else (options.tls_cert, options.tls_key)


def add_access(serve: argparse.ArgumentParser) -> None:
    """Add the options that say who may use the agent, and with which token."""
    serve.add_argument(
        "--token-file",
        type=file,
        metavar="FILE",
        help="require the token in this file (mode 0600) of every request over TCP; needed to"
        " listen on anything but loopback",
    )
    serve.add_argument(
        "--read-token-file",
        type=file,
        metavar="FILE",
        help="also accept the token in this file, for requests that change nothing",
    )
    serve.add_argument(
        "--tls-cert",
        type=file,
        metavar="FILE",
        help="serve HTTPS with this certificate, in PEM with those that lead to its issuer; read"
        " again on SIGHUP",
    )
    serve.add_argument(
        "--tls-key", type=file, metavar="FILE", help="the certificate's key, in PEM, not encrypted"
    )
    serve.add_argument(
        "--insecure",
        action="store_true",
        help="listen beyond loopback without a token: whoever can connect may start and stop runs",
    )
