"""Audits: each measures one concern with its uncertainty, and decides nothing."""
