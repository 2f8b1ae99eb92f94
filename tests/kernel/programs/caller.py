"""A runner that uses the scope "caller", with one of the ways in which a client may connect.

    caller.py WAY URL MARKS

Prints the evidence and its own pid as one line of JSON.
"""

import json
import os
import sys

import requests


def mark(count):
    for _ in range(count):
        os.getpgid(0)


def in_child(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    os.waitpid(child, 0)


def plain(url, marks):
    """Use one connection per request, closed before the run continues."""
    begin(requests, url)
    mark(marks)
    in_child(lambda: mark(marks))
    return requests.post(f"{url}/stop", timeout=60).json()


def session(url, marks):
    """Use one connection for all requests, opened before the start."""
    with requests.Session() as client:
        client.get(f"{url}/status", timeout=60).raise_for_status()
        begin(client, url)
        mark(marks)
        in_child(lambda: mark(marks))
        return client.post(f"{url}/stop", timeout=60).json()


def forked(url, marks):
    """Have a child send the start, over a connection that it shares with its parent."""
    with requests.Session() as client:
        client.get(f"{url}/status", timeout=60).raise_for_status()
        in_child(lambda: (begin(client, url), mark(marks)))
        mark(marks)
    return requests.post(f"{url}/stop", timeout=60).json()


def begin(client, url):
    answer = client.post(f"{url}/start", json={"scope": "caller"}, timeout=60)
    assert answer.ok, answer.text


def main():
    way, url, marks = sys.argv[1:]
    evidence = {"plain": plain, "session": session, "forked": forked}[way](url, int(marks))
    print(json.dumps({"pid": os.getpid(), "evidence": evidence}))  # noqa: T201


main()
