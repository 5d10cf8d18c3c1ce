"""Loads a model, runs it and closes it; it must never know of pictures, labels, thresholds or other rooms."""
