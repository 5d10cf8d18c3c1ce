"""Puts inferd into a system as a service and takes it out again. It never touches what it did not place."""
