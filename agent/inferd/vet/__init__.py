"""The vet child: a model is described, loaded, run and judged in a process of its own. Decides nothing about what serves."""
