"""How often a study does what costs time: steps of stage 1, passes of pictures, clusterings, evaluations."""

from collections.abc import Iterable

from gcl_core.config import Study
from gcl_core.data.index import SPLITS, read_index
from gcl_core.data.people.plan import count_files
from gcl_core.layout import Layout


def count_pictures(layout: Layout) -> dict[str, int]:
    """Return the number of pictures a split (junk left out). Raises DataError when the dataset cannot be listed."""
    study = layout.study
    if study.dataset == "synthetic" and study.data_root is None:
        counts = count_files(study.people)
        return {**counts, "gallery": counts["gallery"] - study.people.junk}
    splits = read_index(study.dataset, layout.data_root)["split"].to_list()
    return {split: splits.count(split) for split in SPLITS}


def stage_one(study: Study, train: int) -> tuple[int, int]:
    """Return the number of stage-1 steps and how many pictures pass the encoder in each."""
    settings = study.baseline
    tda, jvtc, slots = settings.tda, settings.jvtc, settings.cluster_contrast
    batch = slots.identities * slots.instances
    return {
        "tda": (max(1, train // tda.batch_size) * tda.epochs, 2 * tda.batch_size),
        "jvtc": (max(1, train // jvtc.instances) * jvtc.epochs, jvtc.instances * jvtc.copies),
        "cluster_contrast": ((slots.iterations or max(1, train // batch)) * slots.epochs, batch),
        "checkpoint": (0, 2 * tda.batch_size),
    }[settings.method]


def baseline_epochs(study: Study) -> int:
    """Return how often the encoder is evaluated in stage 1, its start included."""
    settings = study.baseline
    epochs = {
        "tda": settings.tda.epochs,
        "jvtc": settings.jvtc.epochs,
        "cluster_contrast": settings.cluster_contrast.epochs,
    }
    return epochs.get(settings.method, 0) + 1


def evaluations(study: Study) -> int:
    """Return how often all variants together are evaluated, the start of each included, repeats and all."""
    settings = {name: study.of_variant(name).joint for name in study.variants}
    return sum(
        (-(-joint.epochs // joint.evaluate_every) + 1) * len(study.repeats_of(name)) for name, joint in settings.items()
    )


def extractions(study: Study) -> int:
    """Return how often all training pictures pass the encoder without training: clustering, the memory's start."""
    return _clustered_epochs(study) + 1 + sum(len(study.repeats_of(name)) for name in study.variants)


def clusterings(study: Study) -> int:
    """Return how often all training pictures are clustered, in stage 1 and by all variants together."""
    return _clustered_epochs(study) + joint_epochs(study, study.variants)


def _clustered_epochs(study: Study) -> int:
    """Return how many epochs of stage 1 begin with a clustering."""
    methods = {"tda": study.baseline.tda, "cluster_contrast": study.baseline.cluster_contrast}
    settings = methods.get(study.baseline.method)
    return 0 if settings is None else max(0, settings.epochs - settings.instance_epochs)


def joint_epochs(study: Study, variants: Iterable[str]) -> int:
    """Return how many epochs of stage 3 all trainings of these variants have together, on one seed."""
    return sum(study.of_variant(name).joint.epochs * len(study.repeats_of(name)) for name in variants)
