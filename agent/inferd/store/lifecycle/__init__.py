"""The rules of a model's life: slots, trial, rollback, pin. Values in, values out; never a clock or a disk."""
