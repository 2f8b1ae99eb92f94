"""A client for the agent: start one as a child process and call its HTTP API."""
