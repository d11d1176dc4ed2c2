"""Release: judge findings against limits; record, report, card, bundle, verification."""
