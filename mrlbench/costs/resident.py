"""Memory of this process: the most bytes that were resident."""

import ctypes
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5)


def forget_peak() -> None:
    """Begin the peak anew, from what is resident now; where the system cannot, it goes on."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed and kept would be used again, unseen
        CLEAR.write_text(RESET_PEAK)
    except (OSError, AttributeError, TypeError):  # no Linux, no glibc, or it is forbidden
        return


def peak_resident() -> int | None:
    """Say how many bytes were resident at most; None where the system does not tell.

    Linux's `ru_maxrss` is no help: a child begins with the peak of its parent.
    """
    if not STATUS.exists():
        return None
    (line,) = (each for each in STATUS.read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
