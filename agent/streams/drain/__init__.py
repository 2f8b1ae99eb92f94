"""The unprivileged end of the transports: from buffers to events, each delivered exactly once."""
