"""Processes that may be killed at any moment: for work that could crash, hang or fill the memory.

`handle` is our side of one such process: it starts it, talks to it and kills it. `function` runs
one function in a guarded process of its own. It knows nothing of documents or jobs.
"""
