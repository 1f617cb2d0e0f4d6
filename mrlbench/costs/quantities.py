"""Counts as people write them: 10M, 1.5B, 300k."""

import re
from decimal import Decimal

from mrlbench.errors import UserError

FACTORS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def read_count(name: str, text: str) -> int:
    """Read a count with or without k, M or B behind it: thousands, millions, 10⁹.

    Raises:
        UserError: Not of that form, or not a whole number of at least 1.
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMbB]?)", text.strip().replace("_", ""), re.ASCII)
    if parts is None:
        raise UserError(f"{name}: expected a count such as 300k, 10M or 1.5B, got {text!r}")
    count = Decimal(parts[1]) * FACTORS[parts[2].lower()]
    if count < 1 or count != int(count):
        raise UserError(f"{name}: expected a whole number of at least 1, got {text!r} = {count:f}")
    return int(count)
