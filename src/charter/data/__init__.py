"""Data: from raw rows to prepared, split and encoded ones; every drop has its reason."""
