"""The parts of docs/ that are read off the program, so that they cannot say anything else.

`make docs` writes them; tests/gates fails while a page differs from what would be written.
"""
