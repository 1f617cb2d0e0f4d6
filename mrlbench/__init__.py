"""How much of an embedding do you really need? Train, measure and search Matryoshka vectors."""

__version__ = "0.1.0"
