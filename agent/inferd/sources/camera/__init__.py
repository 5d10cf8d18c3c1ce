"""Cameras: V4L2 devices, network streams and MJPEG over HTTP."""
