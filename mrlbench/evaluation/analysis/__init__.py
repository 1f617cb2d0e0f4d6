"""Closer looks at vectors and heads that are there; one module for each kind."""
