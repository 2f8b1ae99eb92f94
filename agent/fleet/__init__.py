"""What the evidence of several machines shows together."""
