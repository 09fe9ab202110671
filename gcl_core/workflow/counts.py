"""How often a study does what costs time: steps of stage 1, passes of pictures, clusterings, evaluations, drawings."""

from collections.abc import Iterable

from gcl_core.config import Study
from gcl_core.data.index import SPLITS, read_index
from gcl_core.data.people.plan import count_files
from gcl_core.layout import Layout
from gcl_core.measure.averaged_views import averaged_stages
from gcl_core.measure.retrievals import COMPARED
from gcl_core.mesh.projection import NOVEL, YAWS
from gcl_core.outputs import MERGING
from gcl_core.surface.bodies import known_ways


def count_pictures(layout: Layout) -> dict[str, int]:
    """Return the number of pictures a split (junk left out). Raises DataError when the dataset cannot be listed."""
    study = layout.study
    if study.dataset == "synthetic" and study.data_root is None:
        counts = count_files(study.people)
        return {**counts, "gallery": counts["gallery"] - study.people.junk}
    splits = read_index(study.dataset, layout.data_root)["split"].to_list()
    return {split: splits.count(split) for split in SPLITS}


def stage_one(study: Study, train: int, source: int | None = None) -> tuple[int, int]:
    """Return the number of stage-1 steps and how many pictures pass the encoder in each.

    `source` is the number of training pictures of the labelled set, which an epoch of JVTC then passes over.
    """
    settings = study.baseline
    tda, jvtc, slots = settings.tda, settings.jvtc, settings.cluster_contrast
    batch, copies = slots.identities * slots.instances, jvtc.instances * jvtc.copies
    alone = (max(1, train // jvtc.instances) * jvtc.epochs, copies)
    return {
        "tda": (max(1, train // tda.batch_size) * tda.epochs, 2 * tda.batch_size),
        "jvtc": alone if source is None else (max(1, source // copies) * jvtc.epochs, 2 * copies),
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
    return -(-epochs.get(settings.method, 0) // (study.evaluation.stage_1_every or 1)) + 1


def evaluations(study: Study) -> int:
    """Return how often all variants together are evaluated, the start of each included, repeats and all."""
    settings = {name: study.of_variant(name).joint for name in study.variants}
    return sum(
        (-(-joint.epochs // joint.evaluate_every) + 1) * len(study.repeats_of(name)) for name, joint in settings.items()
    )


def extracted_pictures(study: Study, counts: dict[str, int]) -> int:
    """Return how many pictures pass E_id on one seed while it trains, to be clustered or evaluated."""
    test = counts["query"] + counts["gallery"]
    return counts["train"] * extractions(study) + test * (baseline_epochs(study) + evaluations(study))


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


def inception_pictures(layout: Layout, counts: dict[str, int]) -> int:
    """Return how many pictures pass the Inception network on one seed: for Table 1, and for every other way of view."""
    study, chosen = layout.study, _judged(layout.study, counts["train"])
    drawn = len(YAWS) * (len(study.evaluation.fid_variants) + 1)  # the first variant's in both encodings
    others = len(_bodies(layout)) + (MERGING in study.variants) + _truth(layout)
    copied = 1  # is the same at every angle
    real = counts["train"] + min(chosen, counts["gallery"])
    return chosen * (drawn + copied + len(NOVEL) * others) + real


def encoded_pictures(layout: Layout, counts: dict[str, int]) -> int:
    """Return how many pictures pass E_id on one seed when finished trainings are measured, by notebook.

    Assumes that every picture has a mesh, those of test people too.
    """
    study, test = layout.study, counts["query"] + counts["gallery"]
    chosen, true = _judged(study, counts["train"]), _truth(layout)
    shown, variants = study.evaluation.fid_variants, study.variants.values()
    quality = 2 + len(NOVEL) * (1 + true)  # a picture, itself to be drawn, its drawn and its true views
    start = study.baseline.method != "checkpoint" and study.source is None
    viewed = 2 + len(NOVEL) * (1 + len(_bodies(layout)) + true)  # alone, mirrored, with drawn, carried and true views
    return sum(
        {
            "05": len(YAWS) * chosen * len(shown),
            "07": 0 if study.dataset == "synthetic" else test * (start + 1 + len(variants)),
            "08": quality * (chosen + min(chosen, test)) * len(shown),
            "10": test * (len(COMPARED) + 1 + viewed * len(averaged_stages(study))),
            "11": test * sum(len(study.repeats_of(name)) for name in study.variants)
            + quality * chosen * sum(each.view == "drawn" for each in variants),
        }.values()
    )


def drawn_views(layout: Layout, counts: dict[str, int]) -> int:
    """Return how many views are drawn on one seed when finished trainings are measured, as `encoded_pictures`."""
    study, test = layout.study, counts["query"] + counts["gallery"]
    chosen, shown = _judged(study, counts["train"]), len(study.evaluation.fid_variants)
    drawing = sum(each.view == "drawn" for each in study.variants.values())
    quality = shown * (chosen + min(chosen, test)) + drawing * chosen * (1 + _truth(layout))
    return len(YAWS) * chosen * shown + len(NOVEL) * (quality + test)


def _judged(study: Study, train: int) -> int:
    """Return of how many training pictures views are measured."""
    return min(study.evaluation.fid_pictures or train, train)


def _bodies(layout: Layout) -> list[str]:
    """Return the ways by which a study comes to bodies, those of people that are still to be made among them."""
    made_here = layout.study.dataset == "synthetic" and layout.study.data_root is None
    return ["fitted", "known"] if made_here else list(known_ways(layout))


def _truth(layout: Layout) -> bool:
    """Whether true views are known, or will be."""
    study = layout.study
    return study.dataset == "synthetic" and (study.data_root is None or (layout.data_root / "true_views").is_dir())
