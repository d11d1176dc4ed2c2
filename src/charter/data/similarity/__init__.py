"""Similarity: which texts are alike, found exactly and in bounded memory."""
