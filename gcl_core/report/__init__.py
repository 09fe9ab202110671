"""A profile told: the report on one page, the article, the book, and how to cite and check them."""
