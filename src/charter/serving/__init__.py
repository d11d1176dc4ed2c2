"""Serving: answers from a released bundle."""
