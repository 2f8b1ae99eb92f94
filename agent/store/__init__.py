"""Runs that are kept: one record, and one SQLite file. Standard library only, synchronous."""
