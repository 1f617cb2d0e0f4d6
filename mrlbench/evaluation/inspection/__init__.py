"""Is an embeddings folder really nested, and is anything wrong with it?"""
