"""The operating system, nothing of ours: clock, threads, files, processes, sd_notify. No other room touches these."""
