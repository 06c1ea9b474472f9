"""Running trained networks: in which precision, in how much memory, and fast."""
