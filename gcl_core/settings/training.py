"""Settings of clustering, losses, stages 2 and 3, variants and evaluation (METHOD.md §3-5, §7)."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from gcl_core.fidelity import refuse_old_names
from gcl_core.settings.common import OptimizerSettings, Positive, Settings, Share, Weight, once_each


class ClusteringSettings(Settings):
    """k-reciprocal Jaccard distance, the ρ rule for ε, DBSCAN (§4)."""

    # the others are ours, for comparison; identities: the true ones, an upper bound that labels would give
    method: Literal["dbscan", "hdbscan", "kmeans", "identities"] = "dbscan"
    k1: Annotated[int, Field(ge=2)] = 30
    k2: Annotated[int, Field(ge=1)] = 6
    k1_counts_self: bool = True  # D26; false: k1 others, as in the original re-ranking
    rho: Annotated[float, Field(gt=0, le=1)] = 0.002  # MSMT17: 0.0012
    pairs_per_picture: Annotated[float, Field(gt=0)] | None = None  # in the place of rho: past 100,000 pictures
    duplicates: Literal["within_rounding", "exact_zero"] = "within_rounding"  # D13: which pairs the ρ rule leaves out
    exact_up_to: Positive = 100_000  # pictures; of more the nearest neighbours are approximate
    min_samples: Positive = 4
    kmeans_clusters: Positive | None = None  # needed by kmeans alone

    @model_validator(mode="after")
    def _method_has_what_it_needs(self) -> "ClusteringSettings":
        if self.method == "kmeans" and self.kmeans_clusters is None:
            raise ValueError("method kmeans needs the number of clusters: give clustering.kmeans_clusters")
        if self.method == "hdbscan" and self.min_samples < 2:
            raise ValueError("method hdbscan needs min_samples of 2 or more: one picture alone is no dense region")
        return self


class ContrastSettings(Settings):
    """View-invariant contrastive losses and the memory bank (§3.3, §3.5)."""

    temperature: Annotated[float, Field(gt=0, le=10)] = 0.04
    negatives: Positive = 8192
    keep_old: Share = 0.2  # weight of the old row (D8)
    l_vi_prime_positive: Literal["live", "memory"] = "live"  # D4: L'_vi's positive is f itself (detached), or M_own
    exclude_self: bool = True  # D5: whether f_pos may not be the anchor's own row, where its cluster has another
    shared_positive: bool = True  # D5: whether L_vi and L''_vi share one f_pos
    l_vi_negatives: Literal["new", "original"] = "new"  # D6: whose negatives L_vi has, g's or f's

    @model_validator(mode="before")
    @classmethod
    def _old_names_are_refused(cls, tree: Any) -> Any:
        return refuse_old_names(tree)


class LossWeights(Settings):
    """Weights of the generator side (§3.1)."""

    image: Weight = 5.0  # L_img and L_cyc
    feature: Weight = 5.0  # L_feat and L_feat'
    adversarial: Weight = 1.0
    # D31: whose code L_feat compares with that of x, x_nv's or x_rec's; L_feat' compares x_cyc's
    feature_at: Literal["novel_view", "reconstruction"] = "novel_view"

    @property
    def needs_rec(self) -> bool:
        """Whether E_id has to see x_rec."""
        return self.feature_at == "reconstruction"


GAN_OPTIMIZER = OptimizerSettings()  # §5.2: constant in stage 2
ENCODER_OPTIMIZER = OptimizerSettings(kind="sgd", lr=3.5e-4, milestones=(10,))  # §5.2: momentum 0.9, Nesterov


class WarmUpSettings(Settings):
    """Stage 2 (§5.1): E_id frozen; E_str, G, D learn."""

    epochs: Positive = 40
    batch_size: Annotated[int, Field(ge=2)] = 16
    generator_optimizer: OptimizerSettings = GAN_OPTIMIZER
    discriminator_optimizer: OptimizerSettings = GAN_OPTIMIZER
    threads: Positive | None = None


class JointSettings(Settings):
    """Stage 3 (§5.1): everything learns, on clustered pictures only."""

    epochs: Positive = 20  # D29
    batch_size: Annotated[int, Field(ge=2)] = 16
    encoder_optimizer: OptimizerSettings = ENCODER_OPTIMIZER
    generator_optimizer: OptimizerSettings = OptimizerSettings(milestones=(10,))
    discriminator_optimizer: OptimizerSettings = OptimizerSettings(milestones=(10,))
    drawing_schedule: Literal["stated", "released_torch_1_2", "released_torch_1_4"] = "stated"  # D11: of G and D
    refresh_outliers: bool = False  # D9: extract the memory rows of outliers anew before each clustering
    generator_ema: Annotated[float, Field(gt=0, lt=1)] | None = None  # ours: share of the old average of G in the new
    # D16: drawn pictures, of this step or drawn once, with TDA or without, leave E_id's running statistics alone
    bn_real_only: bool = False
    # ours; false: image, feature and adversarial losses train G alone, through E_id but not E_id itself
    drawing_trains_encoder: bool = True
    keep: Literal["last", "best_on_test"] = "last"  # D15: whose weights and accuracy are the run's result
    evaluate_every: Positive = 1
    threads: Positive | None = None


# what stage 3 uses; where stage 2 does too (angles, losses), it has been trained without the changes
CHANGEABLE = ("angles", "augmentation", "clustering", "contrast", "joint", "losses")


CURVED = (  # settings over whose values accuracy is drawn, where a variant of purpose `setting` changes one
    *("angles", "contrast.keep_old", "contrast.temperature", "contrast.negatives", "clustering.rho"),
)
Purpose = Literal["main", "control", "ablation", "bound", "dose", "setting"]


SECOND_VIEWS = {  # source of x_nv, as settings name it → in words
    **{"drawn": "drawn", "drawn_once": "drawn once", "known": "true view"},
    **{"surface": "surface", "surface_cluster": "surface, merged"},
}


class VariantSettings(Settings):
    """One row of the ablation: where x_nv comes from and which contrastive losses are on (§3.3, §6.1)."""

    title: str = ""  # left out: the variant's name
    # main: a method; control: one that learns no drawing; ablation: losses are left out; bound: perfect views; dose:
    # true views made worse; setting: one setting changed, to be compared with the variant that has it as it is
    purpose: Purpose = "main"
    # drawn_once: as the generator of stage 2 draws them, which learns no more; known: true views of synthetic people
    # surface: the picture's own colours, carried over the surface of its body (ours)
    # surface_cluster: what it does not show takes its colours from pictures of the same pseudo cluster, every epoch
    # "augmented": "copied" with `augment`
    view: Literal["drawn", "drawn_once", "copied", "known", "surface", "surface_cluster"] = "drawn"
    # of surface views. fitted: to keypoints; capsules: the same fits, with rounded limbs in place of the free body's
    # shape; of synthetic people also known, rough: fitted to keypoints that are four times as noisy, and swapped: two
    # thirds of the people who show their backs are taken to show their fronts
    bodies: Literal["fitted", "capsules", "known", "rough", "swapped"] = "fitted"
    turned: bool = True  # false: surface views stay at the picture's own side and lack what the turn would hide
    augment: bool = False  # TDA on x_nv as E_id sees it in the contrast; on views that are no copies it is ours
    blur: Annotated[float, Field(ge=0, le=32)] = 0  # of true views: standard deviation in pixels of a 128-row picture
    repeats: Annotated[int, Field(ge=1, le=100)] | None = None  # null: as many as the study's other variants
    changes: dict[str, Any] = Field(default_factory=dict)  # of other settings, as {"joint.epochs": 40}: CHANGEABLE
    l_vi: Weight = 1.0  # of the pair (f, f_pos), in which there is no drawn view
    l_vi_prime: Weight = 1.0  # of (f, f'_new)
    l_vi_second: Weight = 1.0  # of (f'_new, f_pos)

    @model_validator(mode="before")
    @classmethod
    def _old_names_are_refused(cls, tree: Any) -> Any:
        return refuse_old_names(tree)

    @model_validator(mode="before")
    @classmethod
    def _augmented_is_a_copy(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and tree.get("view") == "augmented":
            return tree | {"view": "copied", "augment": True}
        return tree

    @model_validator(mode="after")
    def _is_what_it_is_for(self) -> "VariantSettings":
        if self.purpose == "setting" and len(self.changes) != 1:
            raise ValueError(f"purpose setting needs one entry in changes, the setting; got {list(self.changes)}")
        if self.purpose == "dose" and not self.blur:
            raise ValueError("purpose dose needs views made worse: give view: known and blur")
        return self

    @property
    def needs_generator(self) -> bool:
        """Whether it starts from the generator of stage 2."""
        return self.view in ("drawn", "drawn_once")

    @property
    def needs_bodies(self) -> bool:
        """Whether its views are carried over the surface of bodies."""
        return self.view in ("surface", "surface_cluster")

    @property
    def shown(self) -> str:
        """Where x_nv comes from, in words for tables."""
        if self.view == "copied":
            return "augmented copy" if self.augment else "the picture"
        bodies = f"{self.bodies} bodies" if self.needs_bodies else ""
        told = [bodies, "" if self.turned else "not turned", "augmented" if self.augment else ""]
        return ", ".join(filter(None, [SECOND_VIEWS[self.view], *told]))


VARIANTS = {
    "gcl": VariantSettings(title="GCL"),
    "tda": VariantSettings(title="TDA control", purpose="control", view="copied", augment=True),
    "no_vi": VariantSettings(title="without the three losses", purpose="ablation", l_vi=0, l_vi_prime=0, l_vi_second=0),
    "no_l_vi": VariantSettings(title="without L_vi", purpose="ablation", l_vi=0),
    "no_l_vi_prime": VariantSettings(title="without L'_vi", purpose="ablation", l_vi_prime=0),
    "no_l_vi_second": VariantSettings(title="without L''_vi", purpose="ablation", l_vi_second=0),
}


def _with_gcl(variants: tuple[str, ...]) -> tuple[str, ...]:
    """Return the variants whose drawn views are measured: GCL's among them, which stand beside every other view.

    Raises ValueError for one that is named twice.
    """
    return once_each(variants) if "gcl" in variants else ("gcl", *once_each(variants))


class EvaluationSettings(Settings):
    """What is measured and on how much (§5.4, §7.1)."""

    batch_size: Positive = 64
    stage_1_every: Positive | None = None  # epochs of stage 1 from one evaluation to the next; null: 1
    average_precision: Literal["step", "trapezoid"] = "step"  # D28; trapezoid: Market-1501's own
    encoding: Literal["png", "jpeg75"] = "png"  # D19: of drawn views, in the headline rows of Table 1
    fid_pictures: Annotated[int, Field(ge=2)] | None = None  # a view's pictures; null: every training picture
    fid_variants: Annotated[tuple[str, ...], AfterValidator(_with_gcl)] = ("gcl", "no_vi")  # gcl is always one
    gallery_people: Annotated[int, Field(ge=1, le=8)] = 4  # rows of a gallery
