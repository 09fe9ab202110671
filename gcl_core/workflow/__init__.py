"""Running the study as a DAG, and what it costs."""
