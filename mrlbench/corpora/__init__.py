"""Text data: documents, queries and what is relevant to what; one file each."""
