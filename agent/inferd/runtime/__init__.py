"""Engines: load a model, run it, close it. Never knows pictures, labels or thresholds."""
