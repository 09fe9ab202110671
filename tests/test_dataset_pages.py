"""The pages of the three datasets: their counts are those of the code, their published numbers those that were read."""

import re
from pathlib import Path

import pytest

from gcl_core.config import load_study
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.measure.published import DATASETS, UNSUPERVISED, published_fid, published_values
from gcl_core.workflow.counts import clusterings, drawn_views, encoded_pictures, inception_pictures, stage_one

VIEWS = 8 + 3  # of a stored picture: colours and projections


@pytest.fixture(params=DATASETS)
def dataset(request: pytest.FixtureRequest) -> str:
    return request.param


def page(repository: Path, dataset: str) -> str:
    return (repository / "docs" / "datasets" / f"{dataset}.md").read_text(encoding="utf-8")


def told(text: str, what: str) -> int:
    """Return the number in the second cell of the row that begins so."""
    (found,) = re.findall(rf"^\| {re.escape(what)}[^|]*\| ([\d,]+) \|", text, re.MULTILINE)
    return int(found.replace(",", ""))


def test_steps_and_disk_are_those_that_a_study_of_its_size_takes(repository: Path, dataset: str, tmp_path: Path):
    text = page(repository, dataset)
    guide = (repository / "docs" / "DATASETS.md").read_text(encoding="utf-8")
    counts = re.findall(rf"^\| `{dataset}` \| ([\d,]+) / ([\d,]+) / ([\d,]+) \|", guide, re.MULTILINE)
    train, query, gallery = (int(count.replace(",", "")) for count in counts[0])
    assert f"{train:,} pictures to train, {query:,} queries, {gallery:,} in the gallery" in text
    study = load_study(dataset, [f"data_root={tmp_path}"])
    drawn, control = (
        sum(
            study.of_variant(name).joint.epochs
            for name, each in study.variants.items()
            if (each.view == "drawn") == does
        )
        for does in (True, False)
    )
    assert told(text, "stage 1, JVTC") == stage_one(study, train)[0]
    assert told(text, "clusterings") == clusterings(study)
    assert told(text, "stage 2") == train // study.warm_up.batch_size * study.warm_up.epochs
    assert told(text, "stage 3, five variants") == train // study.joint.batch_size * drawn
    assert told(text, "stage 3, the TDA control") == train // study.joint.batch_size * control
    layout, pictures = Layout(study, root=tmp_path), {"train": train, "query": query, "gallery": gallery}
    layout.mesh_root.mkdir()
    (layout.mesh_root / "bodies.csv").touch()  # as after `fit-bodies`
    assert told(text, "measuring") == -(-encoded_pictures(layout, pictures) // 64)
    assert told(text, "drawing") == -(-drawn_views(layout, pictures) // 16)
    assert told(text, "FID: passes") == -(-inception_pictures(layout, pictures) // 16)
    size = study.picture.height * study.picture.width * VIEWS * (train + query + gallery)
    assert f"projections take {size / 1e9:.1f} GB" in text


def test_published_numbers_are_those_that_were_read(repository: Path, dataset: str):
    text, name = page(repository, dataset), DATASETS[dataset]
    values = where(published_values(), dataset=name, setting=UNSUPERVISED)
    for method in ("JVTC", "GCL"):
        found = {line["metric"]: line for line in where(values, method=method).to_dict("records")}
        pair = [found[key] for key in ("mAP", "rank1") if key in found]
        marks = [f"{each['value']:.1f}" + ("" if each["status"] == "verified" else " †") for each in pair]
        assert f"{method} {' / '.join(marks) or 'not recovered'}" in text
    fid = published_fid()[name]
    assert " / ".join(f"{value:.2f}" for _, value in sorted(fid.items())) in text
