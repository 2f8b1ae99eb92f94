"""How a service keeps the runs of its clients: a store, and the threads that use it."""
