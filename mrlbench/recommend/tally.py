"""The work of looking for a plan, counted in multiply–adds."""


class Tally:
    """Adds up what was built and searched."""

    def __init__(self) -> None:
        self.built, self.queried = 0.0, 0.0

    @property
    def total(self) -> float:
        """All multiply–adds."""
        return self.built + self.queried

    def indexed(self, multiply_adds: float) -> None:
        """Count a build."""
        self.built += multiply_adds

    def searched(self, multiply_adds: float) -> None:
        """Count searches and reranks."""
        self.queried += multiply_adds
