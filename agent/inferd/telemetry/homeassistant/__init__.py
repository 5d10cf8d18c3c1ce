"""Home Assistant discovery: which entities a device has."""
