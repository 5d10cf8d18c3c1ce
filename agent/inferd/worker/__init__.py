"""The data process: sources, engines and loops. It must never wait for a network, a disk or control."""
