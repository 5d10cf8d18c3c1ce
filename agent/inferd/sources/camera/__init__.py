"""Cameras: V4L2 devices, network streams and MJPEG over HTTP. They must never wait without a time-out."""
