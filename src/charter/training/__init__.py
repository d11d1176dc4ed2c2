"""Training: the one loop, checkpoints, fitting."""
