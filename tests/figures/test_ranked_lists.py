"""Ranked lists: which queries are shown, every picture at its rank, right and wrong told apart."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gcl_core.config import EvaluationSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.queries import Retrieval, ranked_gallery
from gcl_core.evaluation.ranking import evaluate_ranking
from gcl_core.figures.ranked_lists import choose_queries, ranked_lists_figure
from gcl_core.figures.style import COLOURS
from gcl_core.seeding import numpy_rng
from tests.fits import assert_fits

HEIGHT, WIDTH = 64, 32
QUERIES = np.array([1, 0])


@pytest.fixture
def people() -> PersonSet:
    """Return two queries and a gallery of 13, in which they are seen again and junk lies nearest; noise."""
    ids = [(5, 2, "gallery"), (6, 2, "gallery"), (-1, 2, "gallery")] + [(0, 1, "gallery")] * 8
    ids += [(5, 1, "query"), (6, 3, "gallery"), (6, 1, "query"), (5, 1, "gallery")]
    index = pd.DataFrame(ids, columns=["pid", "camid", "split"]).assign(mesh=True)
    index["file"] = [f"{split}/{place}" for place, split in enumerate(index["split"])]
    pictures = numpy_rng(0, "test ranked lists").integers(0, 256, (len(ids), HEIGHT, WIDTH, 3), dtype=np.uint8)
    return PersonSet(index, pictures, np.ones((len(ids), 8, HEIGHT, WIDTH), np.uint8), fingerprint="made up")


@pytest.fixture
def retrieval(people: PersonSet) -> Retrieval:
    queries, gallery = (people.index.iloc[people.rows(split)].reset_index(drop=True) for split in ("query", "gallery"))
    at = numpy_rng(0, "test ranked lists features").permutation(20)[: len(gallery)].astype(np.float32)
    query, shown = torch.tensor([[-1.0], [-2.0]]), torch.from_numpy(at)[:, None]
    ids = [table[name].to_numpy() for name in ("pid", "camid") for table in (queries, gallery)]
    return Retrieval(queries, gallery, query, shown, evaluate_ranking(query, shown, *ids), EvaluationSettings())


def canvas(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def place_of(picture: np.ndarray, within: np.ndarray) -> tuple[int, int] | None:
    """Return (left, top) where a picture stands in a canvas, None where it does not, by trying every place."""
    corners = np.argwhere((within[: -HEIGHT + 1, : -WIDTH + 1] == picture[0, 0]).all(axis=-1))
    found = [(int(x), int(y)) for y, x in corners if (within[y : y + HEIGHT, x : x + WIDTH] == picture).all()]
    assert len(found) <= 1
    return found[0] if found else None


def frames(figure: Figure) -> dict[tuple[int, int], Rectangle]:
    """Return the frames by the first pixel of what they frame."""
    found = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    return {(round(patch.get_x() + 0.5), round(patch.get_y() + 0.5)): patch for patch in found}


def test_half_the_queries_are_the_lowest_and_half_stand_around_the_median():
    precision = np.array([0.9, np.nan, 0.1, 0.5, 0.3, 0.8, 0.6, 0.4, 0.2, 0.7])  # in order: 2 8 4 7 3 6 9 5 0
    assert choose_queries(precision, 4).tolist() == [2, 8, 7, 3]
    assert choose_queries(precision, 3).tolist() == [2, 8, 3]
    assert choose_queries(precision, 1).tolist() == [2]


def test_few_or_equal_queries_are_shown_once_each_in_listing_order():
    assert choose_queries(np.array([0.5, np.nan, 0.5, 0.5]), 8).tolist() == [0, 2, 3]
    assert choose_queries(np.full(6, 0.5), 4).tolist() == [0, 1, 2, 3]


def test_every_picture_stands_at_its_rank_and_nothing_else_is_shown(people: PersonSet, retrieval: Retrieval):
    image = canvas(ranked_lists_figure(people, {"GCL": retrieval}, QUERIES))
    asked, gallery = people.rows("query"), people.rows("gallery")
    tops = []
    for query, lines in zip(QUERIES, ranked_gallery(retrieval, QUERIES, 10), strict=True):
        left, top = place_of(people.pictures[asked[query]], image) or (-1, -1)
        assert left == 0
        tops.append(top)
        row = image[top : top + HEIGHT]
        places = [place_of(people.pictures[gallery[line]], row) for line in lines]
        lefts = [place[0] for place in places if place]
        assert len(lefts) == 10
        assert lefts == sorted(lefts)
        others = set(range(len(gallery))) - set(lines.tolist())
        assert not any(place_of(people.pictures[gallery[line]], row) for line in others)
    assert tops == sorted(tops)


def test_frames_tell_right_from_wrong_by_colour_and_by_line(people: PersonSet, retrieval: Retrieval):
    figure = ranked_lists_figure(people, {"GCL": retrieval}, QUERIES)
    image, framed = canvas(figure), frames(figure)
    assert len(framed) == 20
    looks = set()
    for query, lines in zip(QUERIES, ranked_gallery(retrieval, QUERIES, 10), strict=True):
        top = (place_of(people.pictures[people.rows("query")[query]], image) or (0, 0))[1]
        for line in lines:
            place = place_of(people.pictures[people.rows("gallery")[line]], image[top : top + HEIGHT])
            assert place is not None
            patch = framed[place[0], top]
            assert (patch.get_width(), patch.get_height()) == (WIDTH, HEIGHT)
            right = retrieval.gallery["pid"][line] == retrieval.queries["pid"][query]
            looks.add((bool(right), to_hex(patch.get_edgecolor()), patch.get_linestyle() in ("-", "solid")))
    assert looks == {(True, COLOURS[0], True), (False, COLOURS[3], False)}


def test_ranks_precision_and_view_differences_are_written_and_fit(people: PersonSet, retrieval: Retrieval):
    differences = np.arange(2.0 * len(retrieval.gallery)).reshape(2, -1)
    figure = ranked_lists_figure(people, {"GCL": retrieval}, QUERIES, differences)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:11] == [*map(str, range(1, 11)), "query"]
    precision = retrieval.result.average_precision[QUERIES]
    assert [text for text in texts if "AP" in text] == [f"GCL\nAP {value:.3f}" for value in precision]
    assert texts.count("view differs by") == 2
    lines = ranked_gallery(retrieval, QUERIES, 10)
    expected = [f"{differences[query, line]:.0f}°" for query, row in zip(QUERIES, lines, strict=True) for line in row]
    assert [text for text in texts if text.endswith("°")] == expected
    assert_fits(figure)


def test_a_list_that_ends_early_leaves_its_places_white(people: PersonSet, retrieval: Retrieval):
    gallery = retrieval.gallery.assign(pid=[5, 6, *[-1] * 11])
    short = Retrieval(**{**vars(retrieval), "gallery": gallery})
    figure = ranked_lists_figure(people, {"GCL": short}, np.array([0]))
    assert len(frames(figure)) == 2
    left = max(x for x, _ in frames(figure)) + WIDTH + 1
    assert (canvas(figure)[:, left:] == 255).all()


def test_two_encoders_stand_below_each_other_for_one_query_that_is_shown_once(people: PersonSet, retrieval: Retrieval):
    other = Retrieval(**{**vars(retrieval), "gallery_features": -retrieval.gallery_features})
    figure = ranked_lists_figure(people, {"GCL": retrieval, "TDA control": other}, QUERIES)
    assert [text.get_text().split("\n")[0] for text in figure.axes[0].texts[11:]] == ["GCL", "TDA control"] * 2
    image = canvas(figure)
    for query in QUERIES:
        left, top = place_of(people.pictures[people.rows("query")[query]], image) or (-1, -1)
        row = image[top : top + HEIGHT]
        first = ranked_gallery(retrieval, np.array([query]), 10)[0][0]
        assert left == 0
        assert place_of(people.pictures[people.rows("gallery")[first]], row)
    assert_fits(figure)
