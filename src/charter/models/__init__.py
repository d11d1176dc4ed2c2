"""Models: find a base, attach a head, choose what trains, export."""
