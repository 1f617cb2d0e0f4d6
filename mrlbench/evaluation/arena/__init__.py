"""The arena: every way from D floats to few bytes, compared at equal bytes and at equal FLOPs."""
