"""Runs: content-addressed artefacts, lineage, findings, and what was judged on what."""
