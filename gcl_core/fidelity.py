"""Where the authors' release and the paper differ: one named setting each, the release's choice, and its effect.

`fidelity: paper` is the default: the paper's choice where its text or its architecture figure shows one.
`fidelity: released` in a profile sets all of them as the release has them, `fidelity: [D1, D11]` only those; a setting
given by name wins over both. Numbers are those of METHOD.md §8. docs/FIDELITY.md is written from this file.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

SwitchName = Literal["D1", "D3", "D4", "D5", "D6", "D8", "D9", "D11", "D13", "D15", "D16", "D19", "D26", "D28", "D31"]


class Switch(NamedTuple):
    """One difference; `released` holds the settings (dotted) that give the release's behaviour."""

    name: SwitchName
    released: Mapping[str, Any]
    alternative: str  # the other values a reader may try
    paper: str  # what the paper's text says or suggests
    release: str  # what the released code does
    effect: str
    test: str  # file::function in tests/ that shows the effect


SWITCHES = (
    Switch(
        "D1",
        {"angles": (45, 90, 135, 180, 225, 270)},
        "any of the seven",
        "seven novel views, 45° to 315°",
        "the draw's upper bound is exclusive: 315° is never trained",
        "the view at 315° is drawn without ever having been trained",
        "data/test_batches.py::test_released_angles_leave_out_315",
    ),
    Switch(
        "D3",
        {"identity_encoder.code_layout": "released"},
        "part",
        "four part codes, each read by its own MLP",
        "codes are flattened channel by channel and sliced as if part by part",
        "each MLP sees a quarter of the channels of all stripes instead of one stripe; the authors' weights need it",
        "models/test_identity_encoder.py::test_layouts_hold_the_same_numbers",
    ),
    Switch(
        "D4",
        {"contrast.l_vi_prime_positive": "memory"},
        "live",
        "L'_vi joins f and f'_new, two live features of E_id (architecture figure)",
        "the drawn view is pulled to its picture's memory row",
        "as released, the positive of L'_vi lags behind the encoder by the memory's momentum",
        "losses/test_contrast_switches.py::test_live_positive_is_the_picture_itself",
    ),
    Switch(
        "D5",
        {"contrast.exclude_self": False, "contrast.shared_positive": False},
        "true",
        "one f_pos for L_vi and L''_vi, from another row of the memory than the one x writes (architecture figure)",
        "f_pos is drawn twice, independently, and may be the anchor's own row",
        "as released, in a cluster of n pictures one positive in n is the anchor itself",
        "losses/test_contrast_switches.py::test_positives_leave_out_the_anchor_and_may_be_shared",
    ),
    Switch(
        "D6",
        {"contrast.l_vi_negatives": "new"},
        "original",
        "not to be seen in the architecture figure; its equations could not be read",
        "L_vi takes the drawn view's negatives; those of the picture are there but disabled",
        "the picture's feature is attracted, never repelled, and L_vi trains the generator",
        "losses/test_contrast_switches.py::test_whose_negatives_decides_who_is_trained",
    ),
    Switch(
        "D8",
        {"contrast.keep_old": 0.2},
        "0 to 1",
        "momentum 0.2, its side not verified",
        "0.2 is the weight of the old row",
        "a memory row is four fifths the newest feature",
        "models/test_memory_bank.py::test_a_fifth_of_the_old_row_and_four_fifths_of_the_new_feature",
    ),
    Switch(
        "D9",
        {"joint.refresh_outliers": False},
        "true",
        "not stated",
        "outliers are not trained, so their memory rows keep the value they had when last clustered",
        "stale rows serve as neighbours and negatives",
        "training/test_switches.py::test_outliers_are_extracted_anew_on_request",
    ),
    Switch(
        "D11",
        {"joint.drawing_schedule": "released_torch_1_2"},
        "stated, released_torch_1_4",
        "learning rates a tenth after epoch 10 of stage 3",
        "schedules of G and D start at iteration 30000: with the pinned PyTorch 1.2 the rate is 1e-5 from the start, "
        "from 1.4 on 1e-4 to the end",
        "G and D hardly move in stage 3, or never slow down",
        "training/test_switches.py::test_released_schedules_are_those_of_a_resume_at_iteration_30000",
    ),
    Switch(
        "D13",
        {"clustering.duplicates": "exact_zero"},
        "within_rounding",
        "ε is the mean of the closest pairs, the fraction rho of all",
        "pairs at a distance of exactly 0 are left out, where 0 is decided by the rounding of float32 sums",
        "which of two duplicates counts depends on the last bit; here a distance below 1e-6 counts as 0",
        "clustering/test_released_arithmetic.py::test_released_zero_is_decided_by_rounding",
    ),
    Switch(
        "D15",
        {"joint.keep": "best_on_test"},
        "last",
        "not stated",
        "the epoch with the best mAP on the test set is kept",
        "the result is chosen by test labels, and is never below the last epoch's",
        "training/test_switches.py::test_best_epoch_is_kept_on_request",
    ),
    Switch(
        "D16",
        {"joint.bn_real_only": False},
        "true",
        "not stated",
        "E_id's running statistics are updated by x, x_rec (if D31 is as released), x_nv and x_cyc in turn",
        "real pictures carry about 30 % of the averages used at test, a fifth where D31 is as released",
        "training/test_switches.py::test_running_statistics_come_from_real_pictures_alone_on_request",
    ),
    Switch(
        "D19",
        {"evaluation.encoding": "jpeg75"},
        "png",
        "not stated",
        "drawn views are written under the source's .jpg name, so with JPEG quality 75",
        "FID of drawn views shifts",
        "evaluation/test_encoding.py::test_jpeg_changes_pixels_and_png_does_not",
    ),
    Switch(
        "D26",
        {"clustering.k1_counts_self": True},
        "false",
        "k-reciprocal neighbours with k1 = 30",
        "the ranking of 30 entries includes the picture itself",
        "29 others instead of 30",
        "clustering/test_released_arithmetic.py::test_k1_counts_the_picture_itself_or_not",
    ),
    Switch(
        "D28",
        {"evaluation.average_precision": "step"},
        "trapezoid",
        "mAP",
        "average precision by step interpolation (scikit-learn), where Market-1501's own tool takes trapezoids",
        "ties aside, mAP by trapezoids is never higher",
        "evaluation/test_ranking.py::test_trapezoid_average_precision_is_market_1501s",
    ),
    Switch(
        "D31",
        {"losses.feature_at": "reconstruction"},
        "novel_view",
        "the appearance codes of x'_new and x''_ori are compared with that of x (architecture figure)",
        "the appearance codes of x'_ori and x''_ori are compared with that of x",
        "with the paper's, a drawn view must look to E_id like its picture in every angle, and E_id never sees x'_ori",
        "training/test_step.py::test_the_feature_loss_is_where_it_is_asked_for",
    ),
)
assert tuple(switch.name for switch in SWITCHES) == get_args(SwitchName)


# a name of the losses' settings before the paper's figure was known → its name today
RENAMED = {
    "vi": "l_vi_prime",
    "vi_prime": "l_vi_second",
    "vi_second": "l_vi",
    "vi_positive": "l_vi_prime_positive",
    "vi_second_negatives": "l_vi_negatives",
}
PAIRS = {"l_vi": "(f, f_pos)", "l_vi_prime": "(f, f'_new)", "l_vi_second": "(f'_new, f_pos)"}


def apply_switches(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a profile's settings with what its `fidelity` asks for filled in; settings given by name stay.

    `tree` is what a YAML file holds, not yet validated; a `fidelity` that is unknown is left for validation to refuse.
    """
    asked = tree.get("fidelity", "paper")
    if not asked or asked == "paper":
        return tree
    filled = tree
    for switch in SWITCHES:
        if asked == "released" or (isinstance(asked, list | tuple) and switch.name in asked):
            for key, value in switch.released.items():
                filled = _filled(filled, key.split("."), value)
    return filled


def refuse_old_names(tree: Any) -> Any:
    """Return the settings of a section as they are. Raises ValueError for a loss by its old name, with today's."""
    for old in RENAMED if isinstance(tree, dict) else ():
        if old in tree:
            raise ValueError(
                f"{old!r} is called {RENAMED[old]!r} now: the three losses have the names of the paper's architecture "
                "figure, and the old names were permuted (docs/FIDELITY.md, Names of the three losses)"
            )
    return tree


def _filled(tree: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return {key: value, **tree}
    below = tree.get(key, {})
    below = below.model_dump(exclude_unset=True) if hasattr(below, "model_dump") else below
    return {**tree, key: _filled(below, rest, value)} if isinstance(below, dict) else tree
