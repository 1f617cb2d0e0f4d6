"""What is measured: each module turns a source of vectors into rows."""
