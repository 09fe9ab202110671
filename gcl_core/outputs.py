"""Every figure, table and record of a study in reading order: which notebook writes it, and what it is made of.

The DAG, the report, the notebooks' last cells, `redraw` and the tests take the names from here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from gcl_core.config import Study
from gcl_core.records import FOLDER, PARQUET
from gcl_core.settings.training import CURVED

Kind = Literal["figure", "table", "record"]
GALLERY = "README.md"  # of a profile's figures: made of the manifest, in which it is entered too
SURFACE = ("surface", "surface_known", "surface_cluster")  # variants with views over the surface of bodies
RUNGS = ("copy", "drawn_once", *SURFACE, "true_views")  # variants that differ from GCL in the quality of their views
RETRIEVED = ("gcl", "tda", "surface")  # variants whose encoders notebook 10 compares, beside the baseline's
MERGING = "surface_cluster"  # the variant whose views notebook 08 shows as merged ones
THREE_DATASETS = ("market1501", "dukemtmc_reid", "msmt17")
ENDINGS = {"figure": (".png", ".pdf"), "table": (".md", ".csv", ".tex")}  # the first is what the report shows


@dataclass(frozen=True)
class Output:
    """A figure, table or record.

    A table or figure that is made of records alone names them in `records`; a table without them is itself what was
    measured, a figure without them shows pictures or is drawn from the table of its name. `each_seed`: a notebook of
    one seed writes it, under the plain name for seed 0. `made_by`: whether a study makes it; one that would say nothing
    but "not run" is not made.
    """

    section: str
    notebook: str
    kind: Kind
    name: str
    records: tuple[str, ...] = ()
    each_seed: bool = False
    made_by: Callable[[Study], bool] = lambda _: True

    @property
    def stem(self) -> str:
        """The name in `figures/<profile>/`, without seed and ending."""
        return f"{FOLDER}/{self.name}" if self.kind == "record" else self.name

    def files(self, suffix: str = "") -> list[str]:
        """Return the names of its files in `figures/<profile>/`; `suffix` is that of a seed."""
        record = (".parquet" if self.name in PARQUET else ".csv",)
        return [f"{self.stem}{suffix}{ending}" for ending in ENDINGS.get(self.kind, record)]


def _synthetic(study: Study) -> bool:
    """Whether bodies and true views are known."""
    return study.dataset == "synthetic"


def _doses(study: Study) -> bool:
    """Whether TDA is compared with views of other quality than GCL's, and that quality is known."""
    others = (name in RUNGS or variant.purpose == "dose" for name, variant in study.variants.items())
    return _synthetic(study) and study.people.true_views and "tda" in study.variants and any(others)


def _merges(study: Study) -> bool:
    return _synthetic(study) and MERGING in study.variants


def _settings(study: Study) -> bool:
    """Whether there is a curve: a setting that a variant changes, and the variant that has it as everywhere else."""
    changed = (set(variant.changes) for variant in study.variants.values() if variant.purpose == "setting")
    return "drawn_once" in study.variants and any(settings & set(CURVED) for settings in changed)


def _one_of_three(study: Study) -> bool:
    return study.dataset in THREE_DATASETS


def _outputs() -> Iterator[Output]:
    data = ("Data", "00_data_preparation")
    yield Output(*data, "table", "dataset", each_seed=True)
    yield Output(*data, "figure", "dataset_examples", each_seed=True)
    for kind in ("figure", "table"):
        yield Output(*data, kind, "mesh_ways", each_seed=True, made_by=_synthetic)
    accuracy = ("Baseline and accuracy", "07_ablations")
    yield Output(*accuracy, "table", "reid_accuracy", ("epochs", "jvtc_plus"))
    yield Output(*accuracy, "record", "epochs")
    yield Output(*accuracy, "record", "repeats")
    yield Output(*accuracy, "record", "jvtc_plus")
    yield Output(*accuracy, "table", "protocols", ("protocols",), made_by=lambda study: not _synthetic(study))
    yield Output(*accuracy, "record", "protocols", made_by=lambda study: not _synthetic(study))
    clusters, pictures = ("Clustering", "02_clustering_analysis"), ("clustered_pictures",)
    spread = (*pictures, "clustered_distances", "clustered_split")
    for name, records in (("clustering_analysis", spread), ("clusterers", pictures)):
        yield Output(*clusters, "figure", name, records, each_seed=True)
        yield Output(*clusters, "table", name, each_seed=True)
    for name in spread:
        yield Output(*clusters, "record", name, each_seed=True)
    views = ("Generated views", "08_generated_views")
    for name in ("figure1_view_invariance", "figure3_generated_views_train"):
        yield Output(*views, "figure", name, each_seed=True)
    yield Output(*views, "figure", "figure3_generated_views_test", each_seed=True, made_by=_synthetic)
    yield Output(*views, "table", "view_quality", ("view_quality",), each_seed=True)
    yield Output(*views, "record", "view_quality", each_seed=True)
    yield Output(*views, "table", "view_ways", ("view_ways",), each_seed=True)
    yield Output(*views, "record", "view_ways", each_seed=True)
    yield Output(*views, "table", "merged_views", each_seed=True, made_by=_merges)
    over_surface = ("Views over the surface", "13_views_over_the_surface")
    yield Output(*over_surface, "figure", "surface_steps", each_seed=True, made_by=_synthetic)
    fid = ("FID of the views", "05_fid_per_view")
    yield Output(*fid, "table", "table1_fid_per_view", ("fid", "fid_floor"))
    yield Output(*fid, "figure", "fid_per_view", ("fid",))
    yield Output(*fid, "table", "table1_orderings", ("fid",))
    yield Output(*fid, "record", "fid")
    yield Output(*fid, "record", "fid_floor")
    for kind in ("figure", "table"):
        yield Output("Number of clusters", "06_cluster_count_curves", kind, "figure2_cluster_count", ("epochs",))
    for kind in ("figure", "table"):
        yield Output("Ablations", "07_ablations", kind, "ablations", ("epochs", "repeats"))
    errors = ("Errors", "10_error_analysis")
    yield Output(*errors, "table", "error_analysis", each_seed=True)
    yield Output(*errors, "figure", "ranked_lists", each_seed=True)
    yield Output(*errors, "record", "queries", each_seed=True)
    yield Output(*errors, "table", "test_time_views", ("test_time_views",), each_seed=True)
    yield Output(*errors, "record", "test_time_views", each_seed=True)
    for kind in ("figure", "table"):
        yield Output("Drawn views as a dataset", "12_novel_view_dataset", kind, "novel_view_dataset", each_seed=True)
    claims, measured = ("Evidence for the claims", "11_claims"), ("evidence", "precision")
    for kind in ("figure", "table"):
        yield Output(*claims, kind, "claims", measured)
    yield Output(*claims, "table", "controls", ("epochs", "repeats"))
    for kind in ("figure", "table"):
        yield Output(*claims, kind, "by_epoch", ("epochs",))
    for name, made_by in (("dose", _doses), ("sensitivity", _settings)):
        for kind in ("figure", "table"):
            yield Output(*claims, kind, name, measured, made_by=made_by)
    for name in measured:
        yield Output(*claims, "record", name)
    three = ("Three datasets", "09_three_datasets")
    for kind in ("figure", "table"):
        yield Output(*three, kind, "accuracy_three_datasets", ("dataset_runs",), made_by=_one_of_three)
    for name in ("table1_three_datasets", "orderings_three_datasets"):
        yield Output(*three, "table", name, ("dataset_fid",), made_by=_one_of_three)
    for name in ("dataset_runs", "dataset_fid"):
        yield Output(*three, "record", name, made_by=_one_of_three)


OUTPUTS = tuple(_outputs())


def seed_suffix(seed: int) -> str:
    """Return what a seed adds to a file's name: seed 0 has the plain name, others carry theirs."""
    return "" if seed == 0 else f"_seed{seed}"


def written_by(notebook: str, study: Study, seed: int = 0) -> list[str]:
    """Return the names in `figures/<profile>/` of all files that a notebook writes, of each seed's own those of `seed`.

    What the study does not make is left out: figures of known bodies where people are not synthetic, and comparisons
    of which it trains no variant.
    """
    made = [each for each in OUTPUTS if each.notebook == notebook and each.made_by(study)]
    return [name for each in made for name in each.files(seed_suffix(seed) if each.each_seed else "")]
