"""The operating system: clock, threads, files, processes, sd_notify. Knows nothing of models or messages."""
