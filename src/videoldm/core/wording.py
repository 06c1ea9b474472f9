"""Words of messages that depend on a number."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 file" or "2,000 files"; `noun` takes an s for all but one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def have(number: int) -> str:
    """Return "has" for one thing, else "have"."""
    return "has" if number == 1 else "have"


def are(number: int) -> str:
    """Return "is" for one thing, else "are"."""
    return "is" if number == 1 else "are"
