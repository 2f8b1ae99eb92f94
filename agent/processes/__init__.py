"""The two processes of ``chainbench-agent serve``: one is privileged, the other serves."""
