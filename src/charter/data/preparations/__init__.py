"""Preparations: each makes a `charter.data.preparation.Preparation`, which says what goes and what is changed."""
