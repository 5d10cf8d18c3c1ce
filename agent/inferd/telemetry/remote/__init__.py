"""Requests over MQTT: who may send which, and the client that sends them."""
