"""Where a variant's new views come from: copies, true views, drawn ones with TDA on them; and its number of epochs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from gcl_core.config import ConfigError, load_study
from gcl_core.data.batches import imagenet_normalize, unit_pictures
from gcl_core.data.person_set import load_person_set
from gcl_core.data.truth import Truth, load_truth
from gcl_core.files import RunError, read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run
from gcl_core.mesh.projection import NOVEL
from gcl_core.models.drawing import draw_views
from gcl_core.models.weights import load_encoder, load_generator
from gcl_core.run_folder import read_metrics
from gcl_core.seeding import numpy_rng
from gcl_core.surface.stored import StoredViews
from gcl_core.training import joint, views
from gcl_core.training.baseline import train_baseline
from gcl_core.training.joint import train_jointly
from gcl_core.training.step import Batch
from gcl_core.training.views import augment_part
from gcl_core.training.warm_up import warm_up_generator

MakeLayout = Callable[..., Layout]
NO_CHANGE = ("flip=0", "pad=0", "jitter=0", "hue=0", "erase=0")
BOTH = ("variants.gcl.title=GCL", "variants.tda.view=augmented", "evaluation.fid_variants=[gcl]")


def steps_of(layout: Layout, variant: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Batch, dict[str, Any]]]:
    """Train a variant; return the batches of its steps and their losses."""
    seen, step = [], joint.joint_step

    def record(learners: Any, batch: Batch, *rest: Any, **named: Any) -> Any:
        told = step(learners, batch, *rest, **named)
        seen.append((batch, {name: float(value.detach()) for name, value in told.items()}))
        return told

    monkeypatch.setattr(joint, "joint_step", record)
    train_jointly(layout, variant, 0)
    monkeypatch.setattr(joint, "joint_step", step)
    assert seen
    return seen


def test_a_copy_is_the_picture_itself(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    layout = boxes(*BOTH, "variants.copy.view=copied")
    train_baseline(layout, 0)
    for batch, _ in steps_of(layout, "copy", monkeypatch):
        assert batch.view is not None
        torch.testing.assert_close(batch.view, batch.x, rtol=0, atol=0)


def test_tda_of_a_copy_is_the_tda_control(boxes: MakeLayout):
    layout = boxes(*BOTH, "variants.copy.view=copied", "variants.copy.augment=true")
    train_baseline(layout, 0)
    control, copy = train_jointly(layout, "tda", 0), train_jointly(layout, "copy", 0)
    assert (control / "encoder.safetensors").read_bytes() == (copy / "encoder.safetensors").read_bytes()
    ours, theirs = (read_json(folder / "manifest.json")["settings"] for folder in (control, copy))
    assert ours.pop("variants")["tda"] == theirs.pop("variants")["copy"]
    assert ours == theirs
    assert "augmentation" in ours


def test_true_views_are_those_at_the_angle_that_would_be_drawn(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    asked_of: set[str] = set()

    class Shaded(Truth):
        """Shows by its brightness which view was asked for."""

        def true_views(self, files: Any, yaws: Any, *, blur: float | int = 0) -> np.ndarray:
            asked_of.update(files)
            shades = np.array(yaws)[:, None, None, None] / 45 * 10 + blur
            return np.broadcast_to(shades, (len(files), 64, 32, 3)).astype(np.uint8)

    layout, shaded = (
        boxes(*BOTH, "variants.known.view=known", "variants.known.blur=3"),
        Shaded(Path(), pd.DataFrame(), 64, 32),
    )
    train_baseline(layout, 0)
    monkeypatch.setattr(views, "load_truth", lambda _: shaded)
    shades = {
        round(shade / 10) * 10 + 3: imagenet_normalize(torch.full((1, 3, 64, 32), (shade + 3) / 255))
        for shade in range(0, 71, 10)
    }
    asked = set()
    for batch, _ in steps_of(layout, "known", monkeypatch):
        assert batch.view is not None
        for view in batch.view:
            asked |= {shade for shade, whole in shades.items() if torch.allclose(view, whole[0], atol=1e-6)}
    assert asked <= {shade for shade in shades if shade > 3}  # never at 0°
    assert len(asked) > 4
    assert all(file.startswith("train/") for file in asked_of)


def test_views_drawn_once_are_those_of_the_warm_ups_generator(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    layout = boxes(*BOTH, "variants.once.view=drawn_once")
    baseline, warm_up = train_baseline(layout, 0), warm_up_generator(layout, 0)
    weights = (warm_up / "generator.safetensors").read_bytes()
    people, cpu = load_person_set(layout), torch.device("cpu")
    rows = people.rows("train")
    encoder, artist = load_encoder(layout.study, baseline, cpu), load_generator(layout.study, warm_up, cpu)
    drawn = draw_views(encoder, artist, people.pictures[rows], people.projections[rows])
    seen = set()
    for batch, told in steps_of(layout, "once", monkeypatch):
        assert batch.view is not None
        assert not {"image", "adversarial"} & set(told)
        for index, view in zip(batch.indices.tolist(), batch.view, strict=True):
            ours = imagenet_normalize(unit_pictures(drawn[index], cpu))
            close = [torch.allclose(view, each, atol=0.02) for each in ours]  # a level of 255, by the batch's rounding
            assert any(close[1:])
            seen |= {place for place, same in enumerate(close) if same}
    assert len(seen - {0}) > 4
    assert (warm_up / "generator.safetensors").read_bytes() == weights


def test_drawn_views_with_tda_that_changes_nothing_give_the_losses_of_drawn_views(
    boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch
):
    words = [f"augmentation.{word}" for word in NO_CHANGE]
    layout = boxes(*BOTH, "variants.gcl_tda={augment: true}", "joint.epochs=1", *words)
    train_baseline(layout, 0)
    warm_up_generator(layout, 0)
    (_, plain), *_ = steps_of(layout, "gcl", monkeypatch)
    (_, same), *_ = steps_of(layout, "gcl_tda", monkeypatch)
    # drawn views are clamped to what pictures can show before TDA
    assert {name: same[name] for name in plain} == pytest.approx(plain, rel=0.02)
    layout = boxes(*BOTH, "variants.strong={augment: true}", "joint.epochs=1")
    (_, changed), *_ = steps_of(layout, "strong", monkeypatch)
    assert abs(changed["l_vi_prime"] - plain["l_vi_prime"]) > 0.02 * plain["l_vi_prime"]
    assert changed["image"] == pytest.approx(plain["image"], rel=1e-6)  # the generator's side sees them unchanged


def test_tda_of_drawn_views_keeps_the_way_back_to_the_generator():
    study = load_study("smoke")
    view = torch.rand(4, 3, 64, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    augment_part(study, torch.Generator().manual_seed(1), 4, view).sum().backward()
    assert view.grad is not None
    assert view.grad.abs().sum(dim=(1, 2, 3)).min() > 0


def test_a_variant_may_have_epochs_of_its_own(boxes: MakeLayout):
    layout = boxes(
        *BOTH, "variants.long.view=augmented", "variants.long.changes={joint.epochs: 3}", "joint.evaluate_every=2"
    )
    train_baseline(layout, 0)
    long = train_jointly(layout, "long", 0)
    assert [line["epoch"] for line in read_metrics(long)] == [0, 1, 2, 3]
    assert ["map" in line for line in read_metrics(long)] == [True, False, True, True]
    assert read_json(long / "manifest.json")["kept_epoch"] == 3
    assert [line["epoch"] for line in read_metrics(train_jointly(layout, "tda", 0))] == [0, 1, 2]


def test_true_views_are_blurred_by_a_share_of_the_height(tmp_path: Path):
    pixels = np.zeros((64, 32, 3), np.uint8)
    pixels[:, 16:] = 200
    for yaw in (45, 90):
        path = tmp_path / "true_views" / str(yaw) / "0001_c1s1_000001_00.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels if yaw == 45 else 255 - pixels).save(path)
    truth = Truth(tmp_path, people=pd.DataFrame(), height=64, width=32)
    files = ["bounding_box_train/0001_c1s1_000001_00.jpg"] * 2
    sharp, soft = truth.true_views(files, [45, 90]), truth.true_views(files, [45, 90], blur=4)
    np.testing.assert_array_equal(sharp, [pixels, 255 - pixels])
    # two pixels here: a step blurred by a Gaussian is its cumulative distribution, half a pixel from the edge 0.6
    expected = 200 * np.array([1 - 0.5987, 0.5987])
    np.testing.assert_allclose(soft[0, 30, 15:17, 0], expected, atol=3)
    np.testing.assert_allclose(soft[1].astype(int) + soft[0], 255, atol=1)


def test_surface_views_are_the_stored_ones_and_pictures_without_a_body_are_in_no_batch(
    boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch
):
    layout = boxes(*BOTH, "variants.carried.view=surface")
    train_baseline(layout, 0)
    people, cpu = load_person_set(layout), torch.device("cpu")
    rows = people.rows("train")
    pixels = np.random.default_rng(0).integers(0, 256, (len(rows), 7, 64, 32, 3), dtype=np.uint8)
    there = np.arange(len(rows)) % 5 != 2

    def stored(_layout: Layout, _people: Any, way: str, *, turned: bool) -> StoredViews:
        assert (way, turned) == ("fitted", True)
        return StoredViews(pixels, there)

    monkeypatch.setattr(views, "stored_views", stored)
    seen = set()
    for batch, told in steps_of(layout, "carried", monkeypatch):
        assert batch.view is not None
        assert not {"image", "adversarial"} & set(told)
        for index, view in zip(batch.indices.tolist(), batch.view, strict=True):
            assert there[index]
            same = torch.isclose(
                view, imagenet_normalize(unit_pictures(torch.from_numpy(pixels[index]), cpu)), atol=1e-6
            )
            (place,) = torch.nonzero(same.all(dim=3).all(dim=2).all(dim=1)).flatten().tolist()
            seen.add(place)
    assert len(seen) > 4
    inputs = read_json(layout.stage("carried", 0) / "manifest.json")["inputs"]
    assert inputs["bodies"] == "none"  # synthetic people, fitted without a table
    assert finished_run(layout, "carried", 0) == layout.stage("carried", 0)
    code = [read_json(layout.stage(name, 0) / "manifest.json")["code"] for name in ("carried", "baseline")]
    assert ["gcl_core/surface/views.py" in each for each in code] == [True, False]


def test_surface_views_of_projections_alone_are_refused(boxes: MakeLayout):
    layout = boxes(*BOTH, "variants.carried.view=surface")
    train_baseline(layout, 0)
    with pytest.raises(RunError, match=r"bodies\.csv is missing.*fit-bodies"):
        train_jointly(layout, "carried", 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("variants.gcl.bodies=known", "bodies: they are of surface views, not of drawn ones"),
        (
            "dataset=folder data_root=here variants.s.view=surface variants.s.bodies=known",
            "known bodies are those of synthetic people",
        ),
        ("variants.gcl.bodies=capsules", "bodies: they are of surface views, not of drawn ones"),
        ("dataset=folder data_root=here variants.known.view=known", "true views"),
        ("people.true_views=false variants.known.view=known", "true views"),
        ("variants.soft.view=drawn variants.soft.blur=2", "blur is for known views"),
        ("dataset=folder data_root=here people.each_seed=true", "each_seed"),
    ],
)
def test_views_that_nobody_knows_are_refused(words: str, told: str):
    with pytest.raises(ConfigError, match=told):
        load_study("smoke", [*BOTH, *words.split()])


def test_a_training_on_true_views_is_not_read_beside_others(boxes: MakeLayout):
    layout = boxes(*BOTH, "variants.known.view=known")
    people = load_person_set(layout)
    for file in people.index["file"]:
        for yaw in NOVEL:
            path = layout.data_root / "true_views" / str(yaw) / f"{Path(file).stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 64), (yaw % 256, 0, 0)).save(path)
    pd.DataFrame({"file": people.index["file"], "yaw": 0}).to_csv(layout.data_root / "people.csv", index=False)
    train_baseline(layout, 0)
    assert "true_views" not in read_json(train_jointly(layout, "tda", 0) / "manifest.json")["inputs"]
    run = train_jointly(layout, "known", 0)
    assert finished_run(layout, "known", 0) == run
    noise = numpy_rng(0, "another true view").integers(0, 256, (64, 32, 3), dtype=np.uint8)
    first = Path(str(people.index["file"].iloc[0])).stem
    Image.fromarray(noise).save(layout.data_root / "true_views" / "45" / f"{first}.png")
    with pytest.raises(RunError, match="was trained on other true views than lie there now; run "):
        finished_run(layout, "known", 0)
    assert finished_run(layout, "tda", 0)


def test_a_set_without_true_views_has_none_and_a_variant_that_needs_them_names_the_folder(boxes: MakeLayout):
    layout = boxes(*BOTH, "variants.known.view=known")
    assert load_truth(layout) is None
    people = load_person_set(layout)
    with pytest.raises(RunError, match=r"people/true_views is missing.*variant known.*make-people"):
        views.new_views(layout, people, "known", 0, torch.device("cpu"))
