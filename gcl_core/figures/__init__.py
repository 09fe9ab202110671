"""Figures made of records and measurements, and galleries of pictures."""
