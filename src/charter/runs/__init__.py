"""Runs: run folders, content-addressed artefacts, findings, journals."""
