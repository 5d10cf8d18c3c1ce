"""Builds the Debian package: inferd's wheel and all it needs in an environment of its own. Any release from any machine."""
