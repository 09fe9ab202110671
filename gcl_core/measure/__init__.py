"""Measuring finished runs: FID per view, quality of views, clusterings, retrievals, evidence."""
