"""What waits to be sent: the outbox in memory, the backlog on disk, and the batches it is replayed in."""
