"""Choices of how networks run; torch-free."""

from typing import Literal

Precision = Literal["float32", "float16", "bfloat16"]
