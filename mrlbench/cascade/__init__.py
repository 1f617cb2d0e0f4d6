"""Adaptive classification: go to a wider head only when the narrow one is unsure."""
