"""Programs for working on Muniment itself; none of them is installed with it."""
