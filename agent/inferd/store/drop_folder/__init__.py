"""The drop folder: which files in it make a model, and when they are complete. It never opens a file."""
