"""The compiler process, which runs under the interpreter that has bcc (Python 3.9 or later)."""
