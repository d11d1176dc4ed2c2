"""Sources: how the rows of each kind of place are read, as a stream of tables."""
