"""What runs on a workstation: recipes and tools around inferd; the agent never imports them."""
