"""Real models that anyone can fetch, each with a manifest of ours that makes it right. It never runs one."""
