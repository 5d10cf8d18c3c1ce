"""Sources open an input, then read and stamp frames. They must never resize a frame or know about models."""
