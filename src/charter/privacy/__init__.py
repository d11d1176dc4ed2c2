"""Privacy: step plans."""
