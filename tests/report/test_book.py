"""The book of executed notebooks: readable from the disk without a network, small, and with its equations."""

import base64
import html
import io
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from gcl_core.config import load_study
from gcl_core.files import RunError, read_json
from gcl_core.layout import Layout
from gcl_core.report.book import SLIDER, WIDEST, _replace, _require_replaceable, build_book, shortened
from gcl_core.report.book_math import equation
from gcl_core.seeding import numpy_rng
from gcl_core.tables.claim_readings import REPORTING
from tests import lab


def picture(width: int) -> str:
    pixels = numpy_rng(0, "book test").integers(0, 256, (40, width, 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


def executed(title: str) -> nbformat.NotebookNode:
    outputs = [
        new_output("stream", name="stderr", text="epoch 1 of 6 |####      |"),
        new_output("display_data", {"image/png": picture(1700), "text/plain": "<picture>"}),
        new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "7"}}),
        new_output("display_data", {"text/markdown": "Means.\n\n| way | dB |\n| :-- | --: |\n| copied | 16 |"}),
    ]
    cells = [
        new_markdown_cell(
            f"# {title}\n\nThe loss is $L = -\\log\\frac{{a}}{{b}}$, see [the method](../docs/METHOD.md)."
        ),
        new_code_cell('profile = "mini"\nseed = 0', metadata={"tags": ["parameters"]}),
        new_code_cell('# Parameters\nprofile = "other"', metadata={"tags": ["injected-parameters"]}),
        new_code_cell("from gcl_core.config import load_study"),
        new_code_cell("unmistakable = 1", outputs=outputs),
        new_markdown_cell("*The last cell checks that every file that this notebook promises was written.*"),
        new_code_cell('print(promised(layout.figures, "claims.csv"))'),
    ]
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python", "pygments_lexer": "ipython3"}})


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    tmp_path = tmp_path_factory.mktemp("book")
    made = Layout(load_study("smoke"), root=tmp_path)
    (made.runs / "notebooks").mkdir(parents=True)
    return made


@pytest.fixture(scope="module")
def book(layout: Layout) -> Path:
    """The first page of a book of three notebooks."""
    for name in (
        "01_baseline_seed0",
        "01_baseline_seed1",
        "04_joint_training_tda_seed0",
        "04_joint_training_gcl_seed0",
    ):
        notebook = executed(name)
        told = new_output("stream", name="stdout", text=f"people in {layout.root}/runs/smoke/people")
        notebook.cells.append(new_code_cell("print(layout.store)", outputs=[told]))
        nbformat.write(notebook, layout.runs / "notebooks" / f"{name}.ipynb")
    return build_book(layout, layout.root / "book")


def test_a_book_opens_from_the_disk_with_contents_and_search(book: Path, layout: Layout):
    contents = re.findall(r'toctree-l1"><a class="reference internal" href="([^"]+)"', book.read_text())
    assert list(dict.fromkeys(contents)) == [
        "01_baseline_seed0.html",
        "04_joint_training_gcl_seed0.html",
        "04_joint_training_tda_seed0.html",
    ]
    page = (book.parent / "04_joint_training_tda_seed0.html").read_text()
    assert f"Joint training: {layout.study.variants['tda'].title}" in page
    assert "unmistakable" in page
    assert "people in runs/smoke/people" in page
    assert str(layout.root) not in page
    assert re.search(r"<td[^>]*><p>copied</p></td>", page)  # a table, not its text
    assert "<svg" in page
    assert "epoch 1 of 6" not in page
    assert "the method" in page
    assert "METHOD.md" not in page
    assert "promise" not in page
    assert "fontawesome.js" not in page
    assert not list(book.parent.rglob("fontawesome.js"))
    index = (book.parent / "searchindex.js").read_text()
    assert "unmistak" in index
    for file in book.parent.glob("*.html"):
        assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"]+"', file.read_text()), f"{file.name} asks the network"


def test_a_browser_leafs_and_searches_in_it_without_a_network(book: Path):
    told: list[str] = []
    with lab.browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.extend([request.url] if request.url.startswith("http") else []))
        page.goto(book.as_uri())
        page.locator("nav a", has_text="TDA control").first.click()
        page.wait_for_url("**/04_joint_training_tda_seed0.html")
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        page.goto(f"{book.with_name('search.html').as_uri()}?q=unmistakable")
        page.locator("#search-results li a").nth(2).wait_for()  # they come one after another
    assert told == []


def test_an_earlier_book_gives_way_behind_a_link_too(book: Path, layout: Layout):
    stranger, link = book.parent.with_name(".book.new"), book.parent.with_name("link")
    stranger.mkdir()
    (book.parent / "index.html").write_text("earlier")
    link.symlink_to(book.parent)
    assert build_book(layout, link) == link / "index.html"
    assert "unmistak" in (book.parent / "searchindex.js").read_text()
    assert book.read_text() != "earlier"
    assert link.is_symlink()
    assert sorted(path.name for path in layout.root.iterdir()) == [".book.new", "book", "link", "runs"]


@pytest.mark.parametrize("name", [".git/HEAD", "notes.txt", "_static/own.svg"])
def test_a_book_with_files_of_others_is_left_alone(name: str, book: Path, layout: Layout, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(book.parent, copy)
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("somebody's")
    with pytest.raises(RunError, match=f"holds {name}, which is of no book made here"):
        build_book(layout, copy)
    assert (copy / name).read_text() == "somebody's"
    assert (copy / "index.html").is_file()


def test_a_kill_between_two_books_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place, built, beside = (tmp_path / name for name in ("book", "built", "beside"))
    for folder in (place, built, beside):
        folder.mkdir()
    (place / "index.html").write_text("earlier")
    rename = Path.rename

    def broken(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(KeyboardInterrupt):
        _replace(place, built, beside)
    assert (place / "index.html").read_text() == "earlier"


def test_what_is_no_book_is_left_alone(tmp_path: Path):
    empty = Layout(load_study("smoke"), root=tmp_path)
    with pytest.raises(RunError, match="no executed notebook"):
        build_book(empty, tmp_path / "book")
    (empty.runs / "notebooks").mkdir(parents=True)
    nbformat.write(executed("Title"), empty.runs / "notebooks" / "01_baseline_seed0.ipynb")
    (tmp_path / "thesis").mkdir()
    for name in ("chapter.txt", "searchindex.js", "index.html"):  # as any site of Sphinx has
        (tmp_path / "thesis" / name).write_text("years of work")
    for mark in (None, "{}", "[]", '{"files": 3}', '{"files": ["index.html", "searchindex.js"]}'):
        if mark is not None:
            (tmp_path / "thesis" / "book.json").write_text(mark)
        with pytest.raises(RunError, match="which is of no book made here, and nothing there changed"):
            build_book(empty, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    with pytest.raises(RunError, match=r"chapter\.txt is a file, no folder for a book"):
        build_book(empty, tmp_path / "thesis" / "chapter.txt")
    with pytest.raises(RunError, match=r"cannot write in .*chapter\.txt: .*give another folder with --out"):
        build_book(empty, tmp_path / "thesis" / "chapter.txt" / "book")


@pytest.mark.parametrize(
    "content", ["", '{"cells": [', "{}", "[]", '{"nbformat_minor": "5"}', '{"cells": 3, "nbformat": 4}']
)
def test_a_broken_notebook_is_named_and_has_to_be_run_again(content: str, tmp_path: Path):
    broken = Layout(load_study("smoke"), root=tmp_path)
    (broken.runs / "notebooks").mkdir(parents=True)
    (broken.runs / "notebooks" / "01_baseline_seed0.ipynb").write_text(content)
    told = (
        r"01_baseline_seed0\.ipynb is damaged .*run again: delete .*steps/01_baseline_seed0\.done, then \./run_all\.sh"
    )
    with pytest.raises(RunError, match=told):
        build_book(broken, tmp_path / "book")
    assert not (tmp_path / "book").exists()


def test_outputs_are_made_fit_for_a_page():
    plain = executed("Title")
    made = shortened(executed("Title"), load_study("smoke"), "01_baseline_seed0")
    assert [cell.source for cell in made.cells] == [
        plain.cells[0].source.replace("[the method](../docs/METHOD.md)", "the method"),
        'profile = "other"\nseed = 0',
        plain.cells[3].source,
        plain.cells[4].source,
    ]
    shown, told, _ = made.cells[-1].outputs
    with Image.open(io.BytesIO(base64.b64decode(shown["data"]["image/png"]))) as small:
        assert small.width == WIDEST
    assert told["data"] == {"text/markdown": SLIDER}


def test_every_equation_of_the_notebooks_can_be_set(repository: Path):
    found = []
    for path in sorted((repository / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                found += re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", cell.source, re.DOTALL)
    assert len(found) > 30
    for block, inline in found:
        assert equation(block or inline).startswith("<svg")


def test_an_equation_is_the_same_whenever_it_is_set():
    assert equation(r"\frac{a}{b}") == equation(r"\frac{a}{b}")
    assert "date" not in equation("x")


def test_an_equation_that_cannot_be_set_is_an_error():
    assert equation(r"\frac{a}{b}").startswith("<svg")
    with pytest.raises(ValueError, match="nonsense"):
        equation(r"\nonsense{a}")


def test_the_book_in_this_checkout_may_be_replaced(repository: Path):
    _require_replaceable(repository / "docs" / "book" / "mini")
    assert read_json(repository / "docs" / "book" / "mini" / "book.json")["profile"] == "mini"


@pytest.mark.parametrize("profile", REPORTING)
def test_the_book_in_this_checkout_tells_what_the_reporting_runs_say_today(profile: str, repository: Path):
    page = (repository / "docs" / "book" / "mini" / "11_claims.html").read_text(encoding="utf-8")
    shown = " ".join(html.unescape(re.sub("<[^>]+>", "", page)).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    summary = (repository / "figures" / "reference" / profile / "claims.md").read_text(encoding="utf-8").split("\n")[0]
    assert summary.replace("*", "") in shown
