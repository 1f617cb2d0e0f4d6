"""Search: every nested dim at once, exactly; shortlists, reranks and funnels."""

from mrlbench.search.nested import nested_search

__all__ = ["nested_search"]
