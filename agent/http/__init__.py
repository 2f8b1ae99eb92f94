"""The HTTP face of the agent: contract routes, metrics page, and the server under them.

Importing this package costs nothing; `agent.http.app` and `agent.http.server` bring in Quart
and Hypercorn, which have to be imported before privileges are dropped.
"""
