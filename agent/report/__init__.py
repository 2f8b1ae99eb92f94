"""Reports to send around: one HTML file from what `run` and `compare` found.

Pictures are drawn by matplotlib, which comes with the extra ``report``. Nothing that serves or
measures imports this package.
"""
