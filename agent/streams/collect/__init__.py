"""A run as the unprivileged side conducts it: arming, observing, stopping."""
