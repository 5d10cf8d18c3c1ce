"""Commands that need a broker and no agent on this device: watch, ask, forget. It must never hold state of its own."""
