"""Settings of the data: picture size, synthetic people, a labelled source set, augmentation."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_serializer

from gcl_core.settings.common import OptimizerSettings, Positive, Rate, Settings, Share, Weight


class PictureSettings(Settings):
    """Working size of every picture and mesh projection, in pixels (§5.3); at least 4 rows and columns per stride."""

    height: Annotated[int, Field(ge=32, multiple_of=16)] = 256  # §1.1
    width: Annotated[int, Field(ge=32, multiple_of=16)] = 128  # §1.1


class PeopleSettings(Settings):
    """The synthetic people (ours): who is in the set and how often each is seen."""

    train_identities: Annotated[int, Field(ge=2, le=9999)] = 48
    test_identities: Annotated[int, Field(ge=2, le=9999)] = 48
    cameras: Annotated[int, Field(ge=2, le=8)] = 5
    pictures_per_identity: Annotated[int, Field(ge=4, le=99)] = 16
    distractors: Annotated[int, Field(ge=0)] = 0  # gallery pictures of nobody in the query, identity 0000
    junk: Annotated[int, Field(ge=0)] = 0  # badly framed gallery pictures, identity -1
    regime: Literal["view", "background"] = "view"  # background: each camera has a place of its own
    # worn: left and right, front and back differ; open jackets, bags on one shoulder and hair stand off the body
    clothes: Literal["painted", "worn"] = "painted"
    # moving: a true view is what a camera that walked around the person sees: other street, light from another side
    surroundings: Literal["still", "moving"] = "still"
    seed: Annotated[int, Field(ge=0)] = 0
    each_seed: bool = False  # whether a training with seed k sees people of its own, those of seed + k
    true_views: bool = True  # the seven true pictures beside each one, for evaluation and upper bounds

    @model_serializer(mode="wrap")
    def _named_where_they_differ(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Leave out clothes and surroundings that are as they always were: sets made before these two are the same."""
        tree = dump(self)
        for name in ("clothes", "surroundings"):
            if name in tree and tree[name] == type(self).model_fields[name].default:
                del tree[name]
        return tree


class AugmentationSettings(Settings):
    """Traditional data augmentation (§6.1: no values are published; these follow the nearest documents)."""

    flip: Share = 0.5
    pad: Annotated[int, Field(ge=0)] = 10  # pixels at 256 rows; scaled with the picture's height
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.4  # brightness, contrast, saturation
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    erase: Share = 0.5
    erase_area: tuple[Share, Share] = (0.02, 0.4)
    erase_aspect: tuple[Rate, Rate] = (0.3, 3.33)


class SourcePeopleSettings(PeopleSettings):
    """Synthetic people of a source set: others than the target's, and no true views."""

    seed: Annotated[int, Field(ge=0)] = 1
    true_views: bool = False


class SourceSettings(Settings):
    """The labelled source set of the domain-adaptation setting: supervised pre-training before stage 1 (ours)."""

    dataset: Literal["synthetic", "market1501", "dukemtmc_reid", "msmt17", "folder"]
    data_root: Path | None = None  # null: made under the run folder (synthetic only)
    people: SourcePeopleSettings = SourcePeopleSettings()
    epochs: Positive = 60
    identities: Annotated[int, Field(ge=2)] = 16  # P
    instances: Annotated[int, Field(ge=2)] = 4  # K
    margin: Weight = 0.3  # of the batch-hard triplet loss
    optimizer: OptimizerSettings = OptimizerSettings(lr=3.5e-4, betas=(0.9, 0.999), milestones=(20, 40))
