"""From features to pseudo labels: k-reciprocal Jaccard distances, DBSCAN, and how good the labels are."""
