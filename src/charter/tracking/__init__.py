"""Tracking: telling W&B, MLflow or a plug-in's tracker how a run goes. Trackers are views; the store is the record."""
