"""The report: complete, honest about what is missing, the same bytes for the same inputs, whole in one file."""

import base64
import io
import re
import shutil
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gcl_core.cli import main
from gcl_core.config import Study, described_study, load_study
from gcl_core.figure_manifest import read_manifest
from gcl_core.figures.style import COLUMN, new_figure, save_figure
from gcl_core.files import RunError, read_json, write_json, write_text
from gcl_core.layout import Layout
from gcl_core.measure.evidence import Evidence, Measured
from gcl_core.records import RECORDS, save_record
from gcl_core.report.facts import answer, differing, findings
from gcl_core.report.items import embedded
from gcl_core.report.page import write_report
from gcl_core.tables.claim_words import claim_rows
from gcl_core.tables.claims import CLAIMS, claims_table
from gcl_core.tables.dose import dose_reading, dose_table
from gcl_core.tables.formats import markdown_table, read_markdown, read_table, save_table
from tests import lab

PIDS = np.repeat(np.arange(30), 2)
QUERIES = pd.DataFrame({"stage": ["gcl"], "pid": 1, "camid": 2, "first_match": 1, "matches": 3})
PAPER = "https://arxiv.org/abs/2012.09071"


class Page(HTMLParser):
    """What a page loads, where its links lead, its anchors and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: Counter[str] = Counter()
        self.words: list[str] = []
        self.alts: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.loads += [named[name] for name in ("src", "srcset", "poster", "data") if name in named]
        if "href" in named:
            (self.links if tag == "a" else self.loads).append(named["href"])
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "img":
            self.alts.append(named["alt"])

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def evidence(*gains: float) -> list[Evidence]:
    """Return three seeds in which GCL gains so much mAP over the control: without words, about 11 points."""

    def measured(ap: float) -> Measured:
        frame = pd.DataFrame({"pid": PIDS, "ap": ap, "rank1": 1, "ap_far": ap, "ap_near": ap})
        return Measured(frame, psnr=17.5)

    seeds = gains or (0.1, 0.11, 0.12)
    return [Evidence(30, {"gcl": measured(0.5 + gain), "tda": measured(0.5)}) for gain in seeds]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]) -> Layout:
    """A study with claims, a figure, tables and lines, of two runs with two seeds each."""
    layout = Layout(load_study("smoke", "seeds=2"), root=tmp_path_factory.mktemp("made"))
    runs = [write_run(layout, stage, seed, []) for stage in ("gcl", "tda") for seed in (0, 1)]
    for run in runs:
        facts = {"python": "3.11.7", "packages": {"torch": "2.9.1"}, "device": "cpu (x86_64)", "processor": "A Chip"}
        write_json(run / "manifest.json", {**read_json(run / "manifest.json"), **facts, "started": "at one"})
    frame = claims_table(evidence())
    dose = dose_table(evidence(), frame)
    save_table(frame, layout, "claims", runs=runs, caption="The claims <b>& all</b>", reading="In words.")
    save_table(dose, layout, "dose", runs=runs, caption="Gain by quality")
    save_table(
        pd.DataFrame({"a|b": ["x | y", ""], "mAP": [12.34, None]}), layout, "extra", runs=[], caption="More of it"
    )
    save_record(QUERIES, layout, "queries", runs=runs[:1])
    figure = new_figure(COLUMN, 1.0)
    figure.subplots().plot([0, 1])
    save_figure(figure, layout, "ablations", runs=runs[:2], caption="A bar a variant")
    write_text(layout.runs / "steps" / "11_claims.done", "2026-01-02T03:04:05Z 125 s\n")
    return layout


@pytest.fixture
def layout(made: Layout, tmp_path: Path) -> Layout:
    """That study in a folder of its own."""
    shutil.copytree(made.root, tmp_path, dirs_exist_ok=True)
    return Layout(made.study, root=tmp_path)


def page_of(layout: Layout) -> Page:
    write_report(layout)
    return Page((layout.figures / "report.html").read_text(encoding="utf-8"))


def test_the_question_the_answer_and_what_was_not_run_come_first_in_words(layout: Layout):
    text = page_of(layout).text
    first = (
        "Does contrast with drawn views make better features",
        "✓ reproduced Yes. GCL changes mAP by +11.0 (+8.5 to +13.5) points against TDA (95 % interval over 3 seeds",
        "1 of 7 claims reproduced, 1 no difference of note, 5 not run.",
        "Not run: The published sets (Market-1501, DukeMTMC-reID, MSMT17) were not run: all people are synthetic. "
        "No GPU was used. Nothing was measured for C1, C3, C4, C5, C7.",
        "C2 drawn views make a better contrast than TDA +11.0 (+8.5 to +13.5) mAP ✓ reproduced",
        "Contents",
        "Main results",
        "C1:",
    )
    assert [text.index(words) for words in first] == sorted(text.index(words) for words in first)
    assert "C6: GCL gains more where views differ ≈ no difference of note" in text
    assert [key for key, claim in CLAIMS.items() if f"{key}: {claim.sentence}" not in text] == []


def answered(folder: Path, study: Study, evidence: list[Evidence]) -> str:
    claims_table(evidence).to_csv(folder / "claims.csv", index=False)
    return answer(next(each for each in findings(folder, study) if each.claim.key == "C2"), study)


def test_a_gain_that_is_ruled_out_is_said_to_be_and_another_is_not(tmp_path: Path):
    smoke = load_study("smoke")
    for gains, said in (
        ((-0.003, -0.009, -0.013), "No gain is seen, and one of a point of mAP is ruled out. GCL changes"),
        ((0.02, 0, -0.02), "These runs cannot tell. GCL changes"),
    ):
        assert answered(tmp_path, smoke, evidence(*gains)).startswith(said)


def test_a_profile_that_was_tuned_on_its_people_gets_no_answer(tmp_path: Path):
    study = described_study("real_small")
    told = answered(tmp_path, study, evidence())
    assert told.startswith(
        "GCL changes mAP by +11.0 (+8.5 to +13.5) points against TDA (95 % interval over 3 trainings"
    )
    layout = Layout(study, root=tmp_path)
    layout.figures.mkdir(parents=True)
    (tmp_path / "claims.csv").replace(layout.figures / "claims.csv")
    text = page_of(layout).text
    start = text.index("Does contrast with drawn views")
    assert text[start:].index("Beware: A description, no test.") < text[start:].index("GCL changes mAP by +11.0")
    assert "reproduced GCL changes" not in text


def test_over_two_seeds_no_interval_is_told(tmp_path: Path):
    """As the page of claims says, whose table has it."""
    told = [answered(tmp_path, load_study("smoke"), evidence()[:count]) for count in (1, 2, 3)]
    assert [text.partition("mAP by ")[2] for text in told] == [
        "+10.0 points against TDA (one seed, which decides nothing).",
        "+10.5 points against TDA (2 seeds, no interval).",
        "+11.0 (+8.5 to +13.5) points against TDA (95 % interval over 3 seeds in brackets).",
    ]


def test_every_figure_and_table_is_there_once_with_caption_files_and_runs(layout: Layout):
    page = page_of(layout)
    entered = read_manifest(layout.figures)
    assert {name: page.links.count(name) for name in entered} == dict.fromkeys(entered, 1)
    for caption in (
        "Gain by quality",
        "A bar a variant",
        RECORDS["queries"][0],
        "More of it",
        "The claims <b>& all</b>",
    ):
        assert caption in page.text
    assert page.alts == ["A bar a variant"]
    assert "From runs/smoke: gcl (seeds 0, 1)" in page.text
    assert "From runs/smoke: gcl, tda (seeds 0, 1)" in page.text
    assert "12.3" in page.text
    assert "x | y" in page.text


def test_provenance_names_versions_device_steps_and_settings(layout: Layout):
    text = page_of(layout).text
    for words in (
        "Python 3.11.7, torch 2.9.1",
        "cpu (x86_64); A Chip",
        "2026-01-02T03:04:05Z 2 min 05 s",
        "Seeds: 0, 1",
        "gcl-1",
    ):
        assert words in text
    assert "picture.height 64" in text
    assert "which the profile has now" not in text


def test_what_is_missing_is_said_with_the_notebook_that_makes_it(layout: Layout):
    for name in ("claims", "dose"):
        for path in layout.figures.glob(f"{name}.*"):
            path.unlink()
    text = page_of(layout).text
    assert "0 of 7 claims reproduced, 7 not run" in text
    assert "notebooks/11_claims.ipynb measures it" in text
    assert "clusterers: not run; notebooks/02_clustering_analysis.ipynb makes it" in text
    assert "claims.csv is gone" in text


def test_other_datasets_do_not_miss_what_only_synthetic_people_have(layout: Layout, tmp_path: Path):
    assert "mesh_ways: not run" in page_of(layout).text
    real = Layout(load_study("market1501", [f"data_root={tmp_path}", "profile=smoke"]), root=layout.root)
    text = page_of(real).text
    assert "mesh_ways" not in text
    assert str(tmp_path) not in text
    assert "terms of the data set (market1501)" in (layout.figures / "how-to-cite.md").read_text(encoding="utf-8")


def test_figures_alone_are_enough_and_the_page_says_that_the_runs_are_not_here(layout: Layout):
    elsewhere = layout.root / "elsewhere"
    shutil.move(layout.runs, elsewhere)
    text = page_of(layout).text
    assert "The runs themselves are not here" in text
    assert "no step is marked as done here" in text
    assert "+11.00" in text
    assert not layout.runs.exists()
    write_report(layout, elsewhere)
    assert "torch 2.9.1" in (layout.figures / "report.html").read_text(encoding="utf-8")


def test_a_folder_of_runs_that_is_not_there_is_told(layout: Layout):
    for runs in (layout.root / "nope", layout.figures / "claims.csv"):
        with pytest.raises(RunError, match=f"{runs} is no folder: --runs names that of a profile's runs"):
            write_report(layout, runs)
    assert not (layout.figures / "report.html").exists()


def test_a_run_made_anew_and_a_file_changed_by_hand_are_told(layout: Layout, write_run: Callable[..., Path]):
    manifest = layout.stage("tda", 1) / "manifest.json"
    write_json(manifest, {**read_json(manifest), "fingerprint": "another"})
    (layout.figures / "dose.csv").write_text((layout.figures / "dose.csv").read_text() + "\n")
    text = page_of(layout).text
    assert text.count("not here, or made anew since") == 1
    assert "Beware: dose.csv was changed after it was made" in text


@pytest.mark.parametrize("content", [b"", b"In words.", "| a |\n| :-- |\n".encode("utf-16")])
@pytest.mark.parametrize("name", ["extra.md", "ablations.png"])
def test_a_changed_table_or_picture_is_told_and_not_shown(name: str, content: bytes, layout: Layout):
    (layout.figures / name).write_bytes(content)
    page = page_of(layout)
    assert f"Beware: {name} was changed after it was made" in page.text
    assert ("x | y" in page.text) == (name != "extra.md")
    assert bool(page.alts) == (name != "ablations.png")


def test_other_settings_than_those_of_the_figures_are_told(layout: Layout):
    other = Layout(load_study("smoke", "seeds=2 joint.epochs=9"), root=layout.root)
    assert "which the profile has now" in page_of(other).text


def test_a_study_without_figures_is_refused_with_the_command_that_makes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(RunError, match=r"run_all\.sh smoke"):
        write_report(Layout(load_study("smoke"), root=tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["report", "smoke", "profile=never_run"])
    assert ended.value.code == 1
    assert "no figures to report" in capsys.readouterr().err


def test_the_same_inputs_give_the_same_bytes_and_the_manifest_stays(layout: Layout):
    manifest = (layout.figures / "manifest.json").read_bytes()
    first = [path.read_bytes() for path in write_report(layout)]
    write_text(layout.runs / "steps" / "report.done", "2026-01-02T03:05:05Z 4 s\n")  # as the DAG leaves it
    assert [path.read_bytes() for path in write_report(layout)] == first
    assert (layout.figures / "manifest.json").read_bytes() == manifest


def test_the_page_loads_nothing_and_every_link_leads_somewhere(layout: Layout):
    page = page_of(layout)
    assert all(address.startswith("data:") for address in page.loads)
    assert len(page.loads) == 2  # an empty icon and the figure
    text = (layout.figures / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"url\(|@import|<script|<iframe|\son\w+=", text)
    assert [link for link in page.links if re.match(r"\w+:", link)] == [PAPER]
    anchors = [link.removeprefix("#") for link in page.links if link.startswith("#")]
    assert set(anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    others = [link for link in page.links if not link.startswith("#") and link != PAPER]
    assert [link for link in others if not (layout.figures / link).is_file()] == []


def test_the_structure_is_that_of_a_document(layout: Layout):
    tags = page_of(layout).tags
    assert (tags["h1"], tags["main"], tags["nav"], tags["header"], tags["title"]) == (1, 1, 1, 1, 1)
    assert tags["article"] == len(CLAIMS)
    assert tags["figure"] == tags["figcaption"] == 5


def test_a_huge_picture_is_drawn_smaller_until_it_fits(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    whole, reduced = (embedded(tmp_path / "noise.png", limit).partition(",")[2] for limit in (10**6, 50_000))
    assert base64.b64decode(whole) == (tmp_path / "noise.png").read_bytes()
    assert len(base64.b64decode(reduced)) <= 50_000
    with Image.open(io.BytesIO(base64.b64decode(reduced))) as image:
        assert image.height / image.width == pytest.approx(4 / 3, rel=0.02)


def test_claims_and_doses_read_back_say_what_they_said_before_they_were_saved(layout: Layout):
    claims = claims_table(evidence())
    dose = dose_table(evidence(), claims)
    pd.testing.assert_frame_equal(claim_rows(read_table(layout.figures / "claims.csv")), claim_rows(claims))
    assert dose_reading(read_table(layout.figures / "dose.csv")) == dose_reading(dose)


def test_a_markdown_table_is_read_as_it_was_written():
    frame = pd.DataFrame({"a|b": ["", "x | y|", "z"], "mAP": [1.25, None, 3.0], "c": ["", "", ""]})
    numeric, rows = read_markdown(f"In words.\n\nCaption\n\n{markdown_table(frame)}")
    assert numeric == [False, True, False]
    assert rows == [["a|b", "mAP", "c"], ["", "1.2", ""], ["x | y|", "", ""], ["z", "3.0", ""]]


def test_settings_that_differ_are_found_in_every_section():
    words = [
        "joint.epochs=9",
        "variants={gcl: {l_vi: 0.5}, tda: {view: augmented}}",
        "profile=other",
        "evaluation.fid_variants=[gcl]",
    ]
    study = load_study("smoke", words)
    found = dict(differing(study))
    assert found["joint.epochs"] == "9"
    assert found["variants.gcl.l_vi"] == "0.5"
    assert "profile" not in found
    assert "angles" not in found


def test_how_to_cite_names_paper_study_and_every_figure_with_commit_settings_and_runs(layout: Layout):
    write_report(layout)
    text = (layout.figures / "how-to-cite.md").read_text(encoding="utf-8")
    assert "author = {Chen, Hao and Wang, Yaohui and Lagadec, Benoit" in text
    assert "year = {2021}" in text
    entry = read_manifest(layout.figures)["claims.csv"]
    (line,) = [line for line in text.splitlines() if line.startswith("| claims |")]
    assert f"`{entry['settings']}` | {len(entry['runs'])} |" in line
    assert entry["git_revision"][:10] in line
    assert f"commit {entry['git_revision']}" in text
    assert "MIT licence" in text


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_whole_without_sideways_scrolling(width: int, layout: Layout):
    write_report(layout)
    told: list[str] = []
    with lab.browser() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.extend([request.url] if request.url.startswith("http") else []))
        page.goto((layout.figures / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        boxes = page.evaluate("[...document.querySelectorAll('.scroll')].map(box => box.getBoundingClientRect().right)")
        assert max(boxes) <= width
    assert told == []


def test_a_committed_profile_is_answered_in_the_first_screen_and_printed_on_under_ten_pages(
    repository: Path, tmp_path: Path
):
    layout = Layout(load_study("evidence"), root=tmp_path)
    shutil.copytree(repository / "figures" / "reference" / "evidence", layout.figures)
    write_report(layout)
    with lab.browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto((layout.figures / "report.html").as_uri())
        for words in (".lead", "text=Not run:", "table.claims >> text=C7"):
            box = page.locator(words).first.bounding_box()
            assert box["y"] + box["height"] <= 800, words
        pages = page.pdf(format="A4").count(b"/Type /Page\n")
        assert 1 < pages < 10
        page.locator("summary").last.click()
        assert page.get_by_text("Settings that differ from the published constants").is_visible()
