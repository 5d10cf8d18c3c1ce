"""Shows devices of a broker in a terminal: what was heard becomes a view, a view becomes a screen. It never asks a device."""
