"""Finds out what is wrong with this device and says how to mend it. Reads everything, changes nothing but by `fixes`."""
