"""Control's child processes: the worker's supervision, vet jobs, memory and watchdog. Decides nothing about models."""
