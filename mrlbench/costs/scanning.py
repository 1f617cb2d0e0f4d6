"""What one query computes when all rows are scanned, by how they are stored."""

WORD = 64  # bits that one exclusive-or and one bit count take
CENTROIDS = 256  # that a byte of a product quantiser tells apart


def scan_operations(rows: int, dim: int, dtype: str, row_bytes: int) -> int:
    """Count the operations of one query; each of these is 1, as a multiply–add is.

    A multiply–add of a coordinate of any number type (`float32`, `float16`, `int8`); an
    exclusive-or of 64 bits with its bit count (`binary`, `binary-mean`); a table look-up with its
    addition for a byte (`pq`, whose table takes 256·d multiply–adds for each query).

    Args:
        rows: N.
        dim: d.
        dtype: How a row is stored.
        row_bytes: Of one row.
    """
    if dtype.startswith("binary"):
        return rows * -(-dim // WORD)
    if dtype == "pq":
        return rows * row_bytes + CENTROIDS * dim
    return rows * dim
