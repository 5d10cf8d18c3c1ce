"""The MQTT client: endpoint, TLS, connection, publishing and subscribing. Only this folder imports paho."""
