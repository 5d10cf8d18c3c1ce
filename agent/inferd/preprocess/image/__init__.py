"""Pictures into image inputs: cut, resize, colour, numbers."""
