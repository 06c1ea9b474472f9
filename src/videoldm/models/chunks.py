"""How much of a large map should be computed at a time; torch-free."""

# A CPU is fastest while the numbers fit its cache, a GPU while one launch does much work.
CPU_NUMBERS, GPU_NUMBERS = 2**20, 2**26


def numbers_at_once(device: str) -> int:
    """Return how many numbers to compute at a time on a kind of device, "cpu" or "cuda"."""
    return CPU_NUMBERS if device == "cpu" else GPU_NUMBERS
