"""Spec: the charter file, read into one frozen Charter."""
