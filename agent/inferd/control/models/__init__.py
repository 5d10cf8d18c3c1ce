"""The life of models: found, vetted, tried, committed or rolled back. Never loads a model in this process."""
