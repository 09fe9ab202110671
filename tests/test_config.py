"""Settings: the defaults are the published constants, every profile loads, and wrong input is named precisely."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gcl_core.config import PATHS, ConfigError, Study, known_profiles, load_study
from gcl_core.layout import Layout
from gcl_core.settings.training import VARIANTS, LossWeights, VariantSettings


def message(profile: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_study(profile, overrides)
    return str(caught.value)


def put(folder: Path, **texts: str) -> str:
    """Write profiles of these names and texts and return the path of `own.yaml`."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return str(folder / "own.yaml")


def test_a_profile_states_what_differs_from_the_one_it_extends(tmp_path: Path) -> None:
    own = put(tmp_path, own="extends: smoke\nwarm_up: {epochs: 7}\nangles: [90]\nidentity_encoder: {width: 64}\n")
    expected = load_study("smoke", "profile=own warm_up.epochs=7 angles=[90] identity_encoder.width=64")
    assert load_study(own) == expected
    assert load_study(own, "warm_up.epochs=8").warm_up.epochs == 8
    beside = put(tmp_path, own="extends: ./below.yaml\n", below="profile: elsewhere\nseeds: 3\nlosses: {image: 2}\n")
    assert load_study(beside) == Study(profile="own", seeds=3, losses=LossWeights(image=2))
    emptied = put(tmp_path, own="extends: smoke\nidentity_encoder: null\nseeds: 2\n")
    assert "identity_encoder" in message(emptied)  # null is a value like others, no wish for the default


@pytest.mark.parametrize("name", ["nowhere", "nowhere.yaml", "[mini]", "null", "small.yaml"])
def test_a_base_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, name: str) -> None:
    told = message(put(tmp_path, own=f"extends: {name}\n"))
    assert "which is not there; expected one of dukemtmc_reid, " in told
    assert all(known in told for known in (*known_profiles(), "small", str(tmp_path)))


def test_a_base_may_extend_another_but_not_what_extends_it(tmp_path: Path) -> None:
    assert load_study(put(tmp_path, own="{extends: mini, seeds: 2}")) == load_study("mini", "profile=own seeds=2")
    chain = {"own": "{extends: b.yaml, seeds: 2}", "b": "{extends: c.yaml, seeds: 3, repeats: 4}", "c": "{repeats: 5}"}
    assert load_study(put(tmp_path, **chain)) == Study(profile="own", seeds=2, repeats=4)
    for texts in ({"own": "extends: own.yaml"}, {"own": "extends: b.yaml", "b": "extends: ./own.yaml"}):
        told = message(put(tmp_path, **texts))
        assert "own.yaml', which is this file or one that extends it; give the profile below them" in told
    assert "extends: unknown key" in message("smoke", "extends=mini")
    for nothing in ("", "# all of it is gone\n", "---\n"):
        assert "own.yaml states no setting, as a file that was cut off" in message(put(tmp_path, own=nothing))
    assert "below.yaml holds a list" in message(put(tmp_path, own="extends: below.yaml\n", below="- 1\n"))


def test_overrides_reach_nested_keys_and_keep_the_rest() -> None:
    plain = load_study("mini")
    study = load_study("mini", ["joint.epochs=3", "joint.encoder_optimizer.milestones=[1, 2]", "baseline.threads=null"])
    assert study.joint.epochs == 3
    assert study.joint.encoder_optimizer.milestones == (1, 2)
    assert study.joint.encoder_optimizer.lr == plain.joint.encoder_optimizer.lr
    assert study.baseline.threads is None
    assert study.warm_up == plain.warm_up


def leaves(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def test_a_single_key_keeps_what_stands_beside_it_where_the_profile_states_no_section(tmp_path: Path) -> None:
    root = f"data_root={tmp_path}"
    plain = load_study("market1501", root)
    stated = dict(leaves(plain.model_dump(mode="json", exclude={"data_root"})))
    for key in stated.keys() - PATHS.keys():
        assert load_study("market1501", [root, f"{key}={json.dumps(stated[key])}"]) == plain, key
    faster = plain.joint.encoder_optimizer.model_copy(update={"lr": 0.001})
    assert load_study("market1501", [root, "joint.encoder_optimizer.lr=0.001"]).joint.encoder_optimizer == faster
    mine = put(tmp_path, own="{extends: market1501, joint: {encoder_optimizer: {lr: 0.001}}}")
    assert load_study(mine, root).joint.encoder_optimizer == faster
    assert load_study("market1501", [root, "joint.encoder_optimizer={lr: 0.001}"]).joint.encoder_optimizer == faster


def test_an_override_of_one_variant_keeps_the_others_also_where_the_profile_names_none() -> None:
    plain, study = load_study("smoke"), load_study("smoke", ["variants.tda.repeats=3", "variants.mine.view=copied"])
    assert list(study.variants) == [*plain.variants, "mine"]
    assert study.variants["tda"] == plain.variants["tda"].model_copy(update={"repeats": 3})
    assert study.variants["gcl"] == plain.variants["gcl"]


def test_overrides_as_one_text_equal_a_list() -> None:
    assert load_study("smoke", "seeds=3  joint.epochs=5") == load_study("smoke", ["seeds=3", "joint.epochs=5"])


def test_overrides_with_blanks_survive_as_one_text() -> None:
    """As the DAG passes them to a notebook: quoted as in a shell."""
    words = ["data_root=/my data/people", "joint.encoder_optimizer.milestones=[1, 2]", "seeds=2"]
    assert load_study("smoke", shlex.join(words)) == load_study("smoke", words)


def test_later_override_wins() -> None:
    assert load_study("smoke", "seeds=3 seeds=2").seeds == 2


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_study("smoke").joint.epochs = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("joint.epoch=3", ["joint.epoch", "unknown key", "epochs"]),
        ("seed=3", ["seed", "unknown key", "seeds"]),
        ("variants.glc.l_vi=0", ["there is no variant 'glc', only gcl, tda", "begins with its view"]),
        ("variants.gcl.vii=3", ["variants.gcl.vii", "unknown key", "l_vi_prime"]),
        (
            "source={dataset: synthetic, nonsense: 1}",
            ["source.nonsense", "unknown key", "known here: data_root"],
        ),
        ("source={dataset: synthetic, people: {size: 1}}", ["source.people.size", "cameras", "train_identities"]),
        ("clustering.method=kmeans", ["clustering", "kmeans_clusters"]),
        ("clustering={method: hdbscan, min_samples: 1}", ["clustering", "min_samples of 2 or more"]),
        ("joint.epochs=many", ["joint.epochs", "integer", "'many'"]),
        ("joint.epochs=2.5", ["joint.epochs", "integer", "2.5"]),
        ("joint.epochs=0", ["joint.epochs", "greater than or equal to 1", "got 0"]),
        ("joint.epochs=010", ["010 is no plain number; write it in decimals"]),
        ("baseline.tda.epochs=1:30", ["1:30 is no plain number"]),
        ("contrast.keep_old=1.5", ["contrast.keep_old", "less than or equal to 1", "1.5"]),
        ("contrast.temperature=0", ["contrast.temperature", "greater than 0"]),
        ("losses.image=.nan", ["losses.image", "finite"]),
        ("picture.height=100", ["picture.height", "multiple of 16", "100"]),
        ("clustering.rho=0", ["clustering.rho", "greater than 0"]),
        ("angles=[45, 50]", ["angles.1", "45, 90, 135, 180, 225, 270 or 315", "50"]),
        ("angles=[]", ["angles", "at least 1"]),
        ("angles=[45, 90, 45]", ["angles", "45 twice"]),
        ("evaluation.fid_variants=[gcl, no_vi, no_vi]", ["evaluation.fid_variants", "no_vi twice"]),
        ("dataset=market", ["dataset", "'market1501'", "'folder'", "'market'"]),
        ("on_bad_picture=ignore", ["on_bad_picture", "'stop' or 'skip'", "'ignore'"]),
        ("on_missing_mesh=skip", ["on_missing_mesh", "'leave_out' or 'stop'", "'skip'"]),
        ("device=tpu", ["device", "'auto', 'cpu' or 'cuda'", "'tpu'"]),
        ("people.cameras=1", ["people.cameras", "greater than or equal to 2"]),
        ("seeds=0", ["seeds", "greater than or equal to 1"]),
        ("joint=3", ["joint", "JointSettings", "3"]),
        ("variants.gcl.purpose=setting", ["variants.gcl", "setting needs one entry in changes"]),
        ("variants.gcl.purpose=dose", ["variants.gcl", "give view: known and blur"]),
        ("evaluation.fid_variants=[gcl, nix]", ["fid_variants", "nix", "no_vi"]),
        ("fidelity=[D99]", ["  fidelity.0: Input should be 'D1'"]),
        ("identity_encoder.kind=timmm", ["  identity_encoder.kind: there is no 'timmm'; known here: 'resnet', 'timm'"]),
        ("variants.Bad.view=drawn", ["  variants.Bad: String should match"]),
        ("variants={gcl: {}}", ["variants", "tda", "must be among them"]),
        ("joint.epochs", ["joint.epochs", "key=value"]),
        ("=3", ["=3", "key=value"]),
        ("seeds.more=3.x=1", ["seeds.more"]),
        ("joint.epochs={", ["joint.epochs={", "YAML"]),
        ("seeds=2024-02-30", ["seeds=2024-02-30", "not readable YAML", "day is out of range"]),
        ("joint={epochs: 1, epochs: 2}", ["'epochs' is set here", "and here again"]),
        ("discriminator.scales=6", ["picture", "`discriminator` need sides of 129 or more"]),
        ("joint.encoder_optimizer.betas=[0.9, 1]", ["joint.encoder_optimizer.betas.1", "less than 1"]),
    ],
)
def test_wrong_setting_is_named_with_file_and_range(override: str, words: list[str]) -> None:
    told = message("smoke", override)
    assert [word for word in words if word not in told] == []
    assert "smoke.yaml" in told or override in told


def test_every_wrong_setting_is_told_at_once() -> None:
    told = message("smoke", "joint.epochs=0", "seed=3")
    assert "joint.epochs" in told
    assert "seed: unknown key" in told


def test_variant_named_like_a_stage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("variants: {gcl: {}, tda: {view: augmented}, no_vi: {}, baseline: {}}\n")
    assert "baseline" in message(str(path))


def test_unknown_profile_lists_the_known_ones() -> None:
    told = message("minni")
    assert "'minni'" in told
    assert all(profile in told for profile in known_profiles())


def test_own_profile_file(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("joint: {epochs: 7}\n")
    study = load_study(str(path))
    assert (study.profile, study.joint.epochs) == ("own", 7)
    path.write_text("profile: other\n")
    assert load_study(str(path)).profile == "other"


def test_a_setting_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "pasted.yaml"
    path.write_text("joint: {epochs: 30}\nseeds: 2\njoint: {batch_size: 4}\n")
    told = message(str(path))
    assert [
        word for word in (str(path), "'joint' is set here", "line 1", "and here again", "line 3") if word not in told
    ] == []
    path.write_text("base: &base {epochs: 3}\njoint: {<<: *base, epochs: 7}\n")  # a merge is no second setting
    assert "base" in message(str(path))
    assert "set here" not in message(str(path))


@pytest.mark.parametrize(
    "word",
    [
        "seeds=true",
        "joint.encoder_optimizer.lr=yes",
        "joint.encoder_optimizer.milestones=[true, 20]",
        "variants.tda.repeats=on",
        "dataset=off",
    ],
)
def test_true_and_false_are_no_numbers_and_no_names(word: str):
    key = word.partition("=")[0]
    assert f"{key}: true and false" in message("mini", word)
    assert load_study("mini", ["people.each_seed=yes", "profile=x"]).people.each_seed
    assert "add people.each_seed=false" in message("smoke", "people.each_seed=true", "data_root=/x")


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "just words", "profile: 2024-02-30\n"])
def test_unreadable_profile_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    assert str(path) in message(str(path))


def test_a_profile_without_settings_of_its_own_is_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "paper.yaml"
    path.write_text("{}\n")
    assert load_study(str(path)) == Study()


def test_a_source_set_and_a_checkpoint_exclude_each_other():
    words = ["source.dataset=synthetic", "baseline.method=checkpoint", "baseline.checkpoint=x.pth"]
    with pytest.raises(ConfigError, match="would not use what the source set teaches"):
        load_study("smoke", words)
    with pytest.raises(ConfigError, match="belong together"):
        load_study("smoke", ["baseline.method=checkpoint"])


def test_compiled_networks_take_no_second_backward_pass() -> None:
    apart = "joint.drawing_trains_encoder=false"
    load_study("smoke", [apart])
    with pytest.raises(ConfigError, match=r"two backward passes.*set compute\.compile=false"):
        load_study("smoke", [apart, "compute.compile=true"])


@pytest.mark.parametrize("words", ["devices=100", "devices=3", "devices=8 joint.batch_size=8"])
def test_batches_that_so_many_processes_cannot_share_are_refused_at_once(words: str):
    told = message("mini", *words.split())
    assert f"devices: batches of {8 if 'joint' in words else 16} pictures (" in told
    assert "cannot be cut into equal parts of two or more" in told
    assert load_study("mini", "devices=8").devices == 8


def test_kmeans_is_told_its_number_of_clusters():
    clustering = load_study("smoke", "clustering.method=kmeans clustering.kmeans_clusters=5").clustering
    assert (clustering.method, clustering.kmeans_clusters) == ("kmeans", 5)


def test_augmented_views_are_copies_with_tda() -> None:
    """One thing with two names: equal however it is written, and after a profile is written out and read again."""
    named, built = VariantSettings.model_validate({"view": "augmented"}), VariantSettings(view="copied", augment=True)
    assert named == built == VariantSettings.model_validate(named.model_dump())
    assert (named.view, named.augment) == ("copied", True)
    read = load_study("smoke", ["variants={gcl: {}, tda: {view: augmented}, no_vi: {}}"]).variants["tda"]
    assert read == built.model_copy(update={"title": "TDA control"})


CHANGED = "variants.gcl.title=GCL variants.tda.view=augmented evaluation.fid_variants=[gcl] "


def test_a_section_of_another_kind_stands_in_the_place_of_the_profiles_own(tmp_path: Path):
    own = tmp_path / "own.yaml"
    own.write_text("extends: small\nidentity_encoder: {kind: timm, model: resnet18, parts: 1}\n")
    assert load_study(str(own)).identity_encoder.kind == "timm"
    own.write_text("extends: small\nidentity_encoder: {kind: resnet, width: 12}\n")
    assert load_study(str(own)).identity_encoder == load_study("mini", "identity_encoder.width=12").identity_encoder
    own.write_text("extends: real_small\nidentity_encoder: {parts: 2}\n")  # of the same kind where it states none
    root = f"data_root={tmp_path}"
    changed = load_study("real_small", f"{root} identity_encoder.parts=2").identity_encoder
    assert load_study(str(own), root).identity_encoder == changed


def test_an_optimiser_keeps_what_the_profile_below_says_of_it(tmp_path: Path):
    own = tmp_path / "own.yaml"
    for stated in ("lr: 0.02", "kind: adam", "kind: adam, lr: 0.02", "milestones: [3]"):
        own.write_text(f"extends: small\njoint: {{encoder_optimizer: {{{stated}}}}}\n")
        words = [f"joint.encoder_optimizer.{each.replace(': ', '=')}" for each in stated.split(", ")]
        expected = load_study("mini", ["joint.epochs=6", "joint.evaluate_every=1", *words]).joint
        assert load_study(str(own)).joint == expected


def test_a_file_whose_name_cannot_name_a_study_is_told_and_may_state_one(tmp_path: Path) -> None:
    (own := tmp_path / "my profile.yaml").write_text("extends: smoke\n")
    told = message(str(own))
    assert "'my profile', the file's name, cannot name folders" in told
    assert "state `profile: NAME`" in told
    own.write_text("extends: smoke\nprofile: mine\n")
    assert load_study(str(own)).profile == "mine"


def test_a_variant_whose_title_is_empty_takes_its_name() -> None:
    assert load_study("smoke", ["variants.tda.title=''"]).variants["tda"].title == VARIANTS["tda"].title


def test_variants_have_titles_of_their_own():
    study = load_study("smoke", "variants.mine.view=drawn variants.mine.purpose=ablation")
    assert (study.variants["mine"].title, study.variants["gcl"].title) == ("mine", "GCL")
    with pytest.raises(ConfigError, match=r"variants\.mine\.title: 'GCL' is the title of gcl too"):
        load_study("smoke", "variants.mine.view=drawn variants.mine.title=GCL")


def test_a_list_of_names_keeps_those_variants_as_the_profile_has_them(tmp_path: Path):
    whole, some = load_study("evidence2"), load_study("evidence2", "variants=[tda_30,no_vi,gcl,tda]")
    assert list(some.variants) == ["gcl", "no_vi", "tda", "tda_30"]  # in the profile's order
    assert all(each == whole.variants[name] for name, each in some.variants.items())
    assert load_study("evidence2", "variants=[gcl,tda]").evaluation.fid_variants == ("gcl",)
    full = load_study("market1501", f"data_root={tmp_path} variants=[gcl,tda]")  # a profile that names none
    assert list(full.variants) == ["gcl", "tda"]
    assert full.evaluation.fid_variants == ("gcl",)
    mine = tmp_path / "mine.yaml"
    mine.write_text("{extends: mini, variants: [gcl, tda, surface]}")
    assert list(load_study(str(mine)).variants) == ["gcl", "tda", "surface"]
    assert load_study(str(mine), "variants.tda.repeats=5").variants["tda"].repeats == 5


@pytest.mark.parametrize("names", ["[gcl,tda,cpoy]", "[gcl,tda,[no_vi]]"])
def test_a_variant_to_keep_that_is_not_there_is_told_with_those_that_are(names: str):
    with pytest.raises(ConfigError, match=r"there is no variant .* to keep, only gcl, .*true_views"):
        load_study("mini", f"variants={names}")


def test_a_variant_may_change_settings_of_its_own_stage():
    study = load_study("smoke", CHANGED + "'variants.warm={changes: {contrast.temperature: 0.2, joint.epochs: 5}}'")
    changed = study.of_variant("warm")
    assert (changed.contrast.temperature, changed.joint.epochs) == (0.2, 5)
    assert changed.joint.batch_size == study.joint.batch_size
    assert study.contrast.temperature == 0.07
    for other in ("gcl", "baseline"):
        assert study.of_variant(other) is study


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ("{baseline.threads: 2}", "must begin with one of angles"),
        ("{joint.epoch: 2}", "variants.warm.changes: joint.epoch"),
        ("{contrast.temperature: -1}", "contrast.temperature"),
        ("{clustering.method: kmeans}", "kmeans_clusters"),
    ],
)
def test_changes_that_are_no_settings_of_stage_3_are_refused(changes: str, told: str):
    with pytest.raises(ConfigError, match=told):
        load_study("smoke", f"{CHANGED} 'variants.warm={{changes: {changes}}}'")


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("baseline", "'baseline.clustering={method: kmeans, kmeans_clusters: 36}'"),
        ("warm", "'variants.warm={changes: {clustering.method: kmeans, clustering.kmeans_clusters: 36}}'"),
    ],
)
def test_no_stage_may_ask_for_more_clusters_than_pictures(stage: str, words: str):
    study = load_study("smoke", CHANGED + words)
    study.check_pictures(36)
    with pytest.raises(ConfigError, match=f"clustering.kmeans_clusters of {stage} is 36, and there are 35 training"):
        study.check_pictures(35)


def test_changed_training_is_refused_under_a_shipped_name(tmp_path: Path):
    """Two overrides in a row from a notebook would take a finished run's place."""
    for words in ("joint.epochs=3", "people.seed=4", "losses.adversarial=0.5", "fidelity=released"):
        with pytest.raises(ConfigError, match=r"would change what profile smoke trains.*profile=NAME"):
            Layout(load_study("smoke", words))
        assert Layout(load_study("smoke", f"profile=mine {words}")).study.profile == "mine"
        assert Layout(load_study("smoke", words), root=tmp_path).root == tmp_path
    for profile, words in (  # what a profile states can also be taken away
        ("mini", "source.dataset=synthetic"),
        ("evidence2_worn", "people.clothes=painted"),
        ("people_750", "baseline.clustering=null"),
        ("evidence2", "variants.gcl_released.changes={}"),
    ):
        with pytest.raises(ConfigError, match=f"would change what profile {profile} trains"):
            Layout(load_study(profile, words))
    assert Layout(load_study("smoke", "variants=[gcl,tda]")).study.profile == "smoke"  # fewer trainings of the same
    free = load_study("smoke", "seeds=3 device=cpu joint.threads=1 evaluation.fid_pictures=8")
    assert Layout(free).of_seed(1).study.profile == "smoke"
    assert Layout(load_study("market1501", "data_root=/somewhere")).study.profile == "market1501"
