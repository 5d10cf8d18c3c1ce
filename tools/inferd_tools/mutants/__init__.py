"""Changes the code, one small fault at a time, and reports which faults no test sees."""
