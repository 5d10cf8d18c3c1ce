"""The first minute: the real agent on our model and clip, and a terminal that shows it. It runs no model itself."""
