"""Protection against web pages: the API starts kernel probes, and browsers run any JavaScript.

A foreign page can reach a server on loopback in three ways, each blocked by one check:

* DNS rebinding: the page's own name is made to resolve to 127.0.0.1. The request is then
  same-origin to the browser, but its ``Host`` is not one of the agent's names.
* A cross-origin ``fetch`` or form post: the browser says so in ``Origin``.
* The same without ``Origin``: newer browsers say so in ``Sec-Fetch-Site``.

Clients other than browsers send neither ``Origin`` nor ``Sec-Fetch-Site``.

No page reaches a Unix socket, and ``Host`` means nothing there: no name was looked up. A proxy that
passes a browser's requests on to it passes on what the browser says of their origin too.
"""

from urllib.parse import urlsplit

from werkzeug.datastructures import Headers

from agent.errors import AgentError
from agent.http.host_names import is_address, is_host_name, split_netloc

SAFE_METHODS = frozenset({"GET", "HEAD"})
FOREIGN_SITES = frozenset({"cross-site", "same-site"})
"""``same-site`` is another port on this host, hence another program, so it is foreign too."""

LONGEST_QUOTED_NAME = 100


def check_request(method: str, headers: Headers, allowed_hosts: frozenset[str] | None) -> None:
    """Raise `AgentError` (``forbidden_host``, ``forbidden_origin``) for a foreign web page.

    ``allowed_hosts``: None over a Unix socket.
    """
    host = headers.get("Host", "")
    if allowed_hosts is not None:
        _check_host(host, allowed_hosts)
    _check_origin(headers.get("Origin"), host)
    site = headers.get("Sec-Fetch-Site", "").strip().lower()
    if site in FOREIGN_SITES and method not in SAFE_METHODS:
        raise AgentError("web pages from other sites may not do this", code="forbidden_origin")


def _check_host(host: str, allowed: frozenset[str]) -> None:
    # Only HTTP/1.0 may omit Host (h11 enforces it for 1.1), and no browser speaks 1.0.
    if not host:
        return
    split = split_netloc(host)
    name = "" if split is None else split[0]
    if not (name in allowed or is_address(name)):
        quoted = host[:LONGEST_QUOTED_NAME]
        message = f"Host {quoted!r} is not a name of this agent: use its address or localhost"
        if is_host_name(name):
            message += f", or start the agent with --allow-host {name}"
        raise AgentError(message, code="forbidden_host")


def _check_origin(origin: str | None, host: str) -> None:
    if origin is None:
        return
    try:
        netloc = urlsplit(origin).netloc.lower()
    except ValueError:
        netloc = ""
    if not netloc or netloc != host.lower():
        quoted = origin[:LONGEST_QUOTED_NAME]
        raise AgentError(f"web pages of {quoted!r} may not use this agent", code="forbidden_origin")
