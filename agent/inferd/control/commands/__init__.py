"""Commands to a running agent, over the local socket and over MQTT. Decides nothing about models itself."""
