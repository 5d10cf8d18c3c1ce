"""How the bundled demo model and its clip are made; nothing of this runs on a device."""
