"""What inferd knows of each kind of accelerator, one file a kind. Never imports numpy or a runtime: all rooms may ask."""
