"""The worker as a process: started, watched, stopped, and what is told to systemd about it."""
