"""Reading and writing weights in the layouts that exist."""
