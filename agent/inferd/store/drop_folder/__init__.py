"""The drop folder: which files in it make a bundle, and when they are complete."""
