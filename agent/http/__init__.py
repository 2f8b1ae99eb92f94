"""The agent's HTTP side: the contract's routes, the metrics page, and the server.

Importing this package is cheap. `agent.http.app` and `agent.http.server` import Quart and
Hypercorn, which must happen before privileges are dropped.
"""
