"""The shipped profiles: the published constants, people of their own, and what a round holds fixed."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from gcl_core.config import ConfigError, Study, known_profiles, load_study
from gcl_core.files import read_json
from gcl_core.provenance import fingerprint
from gcl_core.tables.claim_readings import REPORTING

ELSEWHERE = {"market1501", "dukemtmc_reid", "msmt17", "folder"}

# METHOD.md §1.3, §2-§5: what is published, under the key that holds it here
PUBLISHED = {
    "angles": (45, 90, 135, 180, 225, 270, 315),
    "picture.height": 256,
    "picture.width": 128,
    "identity_encoder.block": "bottleneck",
    "identity_encoder.layers": (3, 4, 6, 3),
    "identity_encoder.width": 64,
    "identity_encoder.embedding": 512,
    "identity_encoder.parts": 4,
    "generator.dim": 16,
    "generator.mlp_dim": 512,
    "generator.dilations": (3, 6, 9),
    "discriminator.dim": 32,
    "discriminator.downsamples": 2,
    "discriminator.residual_blocks": 4,
    "discriminator.scales": 3,
    "discriminator.penalty_weight": 0.01,
    "discriminator.penalty_every": 1,
    "losses.image": 5,
    "losses.feature": 5,
    "losses.adversarial": 1,
    "contrast.temperature": 0.04,
    "contrast.negatives": 8192,
    "contrast.keep_old": 0.2,
    "clustering.k1": 30,
    "clustering.k2": 6,
    "clustering.rho": 0.002,
    "clustering.min_samples": 4,
    "warm_up.epochs": 40,
    "warm_up.batch_size": 16,
    "warm_up.generator_optimizer.kind": "adam",
    "warm_up.generator_optimizer.lr": 1e-4,
    "warm_up.generator_optimizer.betas": (0, 0.999),
    "warm_up.generator_optimizer.weight_decay": 5e-4,
    "warm_up.generator_optimizer.milestones": (),
    "warm_up.discriminator_optimizer.lr": 1e-4,
    "warm_up.discriminator_optimizer.milestones": (),
    "joint.epochs": 20,
    "joint.batch_size": 16,
    "joint.encoder_optimizer.kind": "sgd",
    "joint.encoder_optimizer.lr": 3.5e-4,
    "joint.encoder_optimizer.weight_decay": 5e-4,
    "joint.encoder_optimizer.milestones": (10,),
    "joint.encoder_optimizer.gamma": 0.1,
    "joint.generator_optimizer.lr": 1e-4,
    "joint.generator_optimizer.milestones": (10,),
    "joint.discriminator_optimizer.milestones": (10,),
}


def value_at(study: Study, key: str) -> Any:
    value: Any = study
    for part in key.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("key", PUBLISHED)
def test_default_is_the_published_constant(key: str) -> None:
    assert value_at(Study(), key) == PUBLISHED[key]


@pytest.mark.parametrize("profile", sorted(ELSEWHERE))
def test_full_size_profiles_keep_the_published_constants(profile: str, tmp_path: Path) -> None:
    study = load_study(profile, [f"data_root={tmp_path}"])
    changed = {key for key in PUBLISHED if value_at(study, key) != PUBLISHED[key]}
    assert changed == ({"clustering.rho"} if profile == "msmt17" else set())
    assert study.clustering.rho == (0.0012 if profile == "msmt17" else 0.002)
    assert study.dataset == profile


def test_the_large_synthetic_study_keeps_the_published_constants_and_is_as_large_as_market() -> None:
    study = load_study("synthetic_large", [])
    assert {key for key in PUBLISHED if value_at(study, key) != PUBLISHED[key]} == {"clustering.rho"}
    pictures = study.people.train_identities * study.people.pictures_per_identity
    assert pictures >= 12936  # METHOD.md §4
    others = study.people.pictures_per_identity - 1
    assert study.clustering.rho * (pictures - 1) / 2 == pytest.approx(others, rel=0.1)
    half = load_study("synthetic_large", ["picture.height=128", "picture.width=64"])
    assert (half.picture.height, half.picture.width) == (128, 64)


def test_every_profile_loads_under_its_own_name(tmp_path: Path) -> None:
    made = {"smoke", "mini", "synthetic_large", "tuning_optimizer", "tuning_views", *REPORTING}
    assert set(known_profiles()) == {*made, "real_small", *ELSEWHERE}
    for profile in known_profiles():
        study = load_study(profile, [] if profile in made else [f"data_root={tmp_path}"])
        assert study.profile == profile


@pytest.mark.parametrize("profile", [*sorted(ELSEWHERE), "real_small"])
def test_real_data_need_their_folder(profile: str) -> None:
    with pytest.raises(ConfigError, match="data_root=/path/to/it"):
        load_study(profile)


def test_minis_settings_go_by_the_name_that_the_committed_run_has(repository: Path) -> None:
    """So `compare` calls them the same; a setting that is added must not change the name of studies without it."""
    manifest = read_json(repository / "figures" / "reference" / "mini" / "manifest.json")
    assert {fingerprint(load_study("mini").model_dump(mode="json"))} == {
        each["settings"] for each in manifest["entries"]
    }


def test_gcls_views_are_always_measured() -> None:
    """Notebook 08 sets every other view beside them."""
    assert load_study("people_750").evaluation.fid_variants == ("gcl",)
    assert load_study("smoke", "evaluation.fid_variants=[no_vi]").evaluation.fid_variants == ("gcl", "no_vi")


def test_small_profile_of_real_people_draws_as_mini_does_and_has_a_supervised_bound(tmp_path: Path) -> None:
    """The method stays: its controls are mini's, and the bound differs from TDA in whose labels it trains on."""
    small, mini = load_study("real_small", [f"data_root={tmp_path}"]), load_study("mini")
    for part in ("generator", "discriminator", "contrast", "augmentation", "losses"):
        assert getattr(small, part) == getattr(mini, part), part
    bound = small.variants["identities"]
    assert {name: small.variants[name] for name in small.variants if name != "identities"} == {
        name: mini.variants[name].model_copy(update={"repeats": None})
        for name in ("gcl", "tda", "copy", "surface", "surface_cluster")
    }
    assert small.of_variant("identities").clustering.method == "identities"
    assert (bound.view, bound.augment, bound.purpose) == ("copied", True, "bound")


def test_profiles_of_a_round_differ_in_people_seeds_and_variants_alone() -> None:
    """What is fixed for one is fixed for all (docs/PROTOCOL.md); from the second on, random numbers are its own."""
    own = {"profile", "people", "seeds", "training_seed", "repeats", "variants", "evaluation"}
    second = ("evidence2", "evidence2_worn", "evidence3")  # the third round has the settings of the second
    first = [name for name in REPORTING if name.split("_")[0] == "evidence"]
    for names in (first, second):
        studies = [*map(load_study, names)]
        settings = [study.model_dump(exclude=own) for study in studies]
        assert settings[1:] == settings[:1] * (len(names) - 1)
        for one, other in itertools.combinations(studies, 2):
            for name in one.variants.keys() & other.variants.keys():
                ours, theirs = (each.variants[name].model_dump(exclude={"repeats"}) for each in (one, other))
                assert ours == theirs
        assert {study.people.test_identities * study.people.cameras for study in studies} == {384}
    scaled = own | {"warm_up", "clustering", "baseline"}
    large, small = load_study("people_750"), load_study("evidence2")
    assert large.model_dump(exclude=scaled) == small.model_dump(exclude=scaled)
    assert large.baseline.model_copy(update={"clustering": None}) == small.baseline
    assert large.clustering.model_copy(update={"rho": small.clustering.rho}) == small.clustering
    pairs = [study.clustering.rho * study.people.train_identities for study in (large, small)]
    assert pairs[0] == pytest.approx(pairs[1])  # as many a picture
    assert {load_study(name).training_seed for name in first} == {0}
    assert {load_study(name).training_seed for name in (*second[:2], "people_750")} == {1000}
    assert load_study("evidence3").training_seed == 2000
    tuning = [load_study(name) for name in ("tuning_optimizer", "tuning_views")]
    assert all(study.training_seed + study.seeds <= 1000 for study in tuning)


def test_no_two_profiles_share_people_and_those_below_ten_only_tune() -> None:
    studies = [load_study(name) for name in ("mini", "tuning_optimizer", "tuning_views", *REPORTING)]
    assert all(study.people.each_seed and study.people.cameras == 4 for study in studies)
    seen = [{study.people.seed + seed for seed in range(study.seeds)} for study in studies]
    assert len(set.union(*seen)) == sum(map(len, seen))
    assert all(max(seeds) < 10 for seeds in seen[1:3])
    assert all(min(seeds) >= 100 for seeds in seen[3:])
