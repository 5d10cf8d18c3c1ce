"""Files that survive a power cut, files that only grow, and files in memory."""
