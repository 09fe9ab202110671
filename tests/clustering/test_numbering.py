"""Labels are numbered in the order in which clusters appear."""

import numpy as np

from gcl_core.clustering.numbering import number_by_first_member


def test_clusters_are_numbered_as_they_appear_and_outliers_stay_outside() -> None:
    assert number_by_first_member(np.array([7, -1, 2, 7, 2, -3, 0])).tolist() == [0, -1, 1, 0, 1, -1, 2]


def test_equal_clusterings_have_equal_labels_and_numbering_twice_changes_nothing() -> None:
    one, other = np.array([4, 4, 1, 9, 1], dtype=np.int32), np.array([0, 0, 8, 3, 8])
    assert number_by_first_member(one).tolist() == number_by_first_member(other).tolist()
    assert number_by_first_member(number_by_first_member(one)).tolist() == [0, 0, 1, 2, 1]
    assert number_by_first_member(one).dtype == np.int64


def test_no_picture_and_no_cluster_are_plain_results() -> None:
    assert number_by_first_member(np.empty(0, np.int64)).tolist() == []
    assert number_by_first_member(np.array([-1, -1])).tolist() == [-1, -1]
