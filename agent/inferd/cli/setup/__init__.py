"""Commands that set a device up and look for faults: configuration, installation, doctor, self-test, support bundle."""
