"""`bench-search --grid`: every index, build argument, effort, dim, pipeline and k of a file."""
