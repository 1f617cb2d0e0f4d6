"""The paper: its published values, its claims, and what a run says about them."""
