"""Where the work is done: in this machine's worker processes, or on a Ray cluster."""
