"""The data process and its one-shot relatives: sources, engines and loops. Never waits for a network, nor for control."""
