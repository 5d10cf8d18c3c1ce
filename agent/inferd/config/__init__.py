"""The configuration: TOML into frozen structs, every default in one place, every mistake named."""
