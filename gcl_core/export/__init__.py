"""Drawn views as a dataset of files: written, described, loaded and verified (METHOD.md §7.5)."""
