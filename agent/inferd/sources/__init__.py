"""Where frames come from. A source opens, stamps and gives them; it never resizes, and knows nothing of models."""
