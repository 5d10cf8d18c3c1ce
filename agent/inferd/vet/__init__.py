"""The vet child describes, loads, runs and judges a model in a process of its own. It never decides what serves."""
