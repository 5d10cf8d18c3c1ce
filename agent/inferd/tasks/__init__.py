"""Reads a model's outputs. Pure functions of arrays; never looks at a picture's pixels, a file or a clock."""
