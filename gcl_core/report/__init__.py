"""The report of a profile on one page, and how to cite it."""
