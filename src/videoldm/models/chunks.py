"""How much of a large map is best in work at a time; torch-free."""

# A CPU is fastest while they fit its cache, a GPU while one launch does much.
CPU_NUMBERS, GPU_NUMBERS = 2**20, 2**26


def numbers_at_once(device: str) -> int:
    """How many numbers suit a kind of device, "cpu" or "cuda"."""
    return CPU_NUMBERS if device == "cpu" else GPU_NUMBERS
