"""The work of looking for a plan, counted in multiply–adds."""

from threading import Lock


class Tally:
    """Adds up what was built and searched; indexes are built in several threads."""

    def __init__(self) -> None:
        self.total = 0.0
        self._lock = Lock()

    def add(self, multiply_adds: float) -> None:
        """Count some more."""
        with self._lock:
            self.total += multiply_adds
