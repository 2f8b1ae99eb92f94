"""The evidence around a run's sections: task accounts, checks against the kernel, verdict, cost.

Nothing here waits for anything, so nothing here is async.
"""
