"""Engines: what computes a released form of a model. A task calls an engine as it calls a torch model."""
