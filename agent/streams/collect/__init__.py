"""The unprivileged side of a run: arming, observing, stopping."""
