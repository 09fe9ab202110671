"""A profile's executed notebooks as a static book: pages that a browser opens from the disk, with search and contents.

Sphinx and MyST-NB build it without a network. Equations become SVG by matplotlib, as MathJax would be downloaded.
"""

import base64
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from gcl_core.config import Study
from gcl_core.files import RunError, read_json, why, write_json, write_text
from gcl_core.layout import Layout

WIDEST = 1000  # pixels of a picture in the book; a page shows some 800
SETTLED = 20_000  # pixels that may still change their colour: the palette is as good as after all rounds, in a quarter
WIDGET = "application/vnd.jupyter.widget-view+json"
SLIDER = "*Here JupyterLab shows a slider or a menu; a static page cannot.*"
OTHER_SEED = re.compile(r"_seed[1-9]\d*$")
PROMISE = re.compile(r"^\*The last cell checks|^print\(promised\(")  # cells that only check what was written
VARIANT = re.compile(r"04_joint_training_(.+)_seed\d+")
CONF = """\
import sys
sys.path.insert(0, {package!r})
project, author, copyright = "GCL, a reproduction study: profile {profile}", "", ""
extensions = ["myst_nb", "gcl_core.report.book_math"]
html_theme = "sphinx_book_theme"
html_static_path, html_css_files = ["own"], ["own.css"]
html_title = project
html_copy_source = html_show_sourcelink = html_show_copyright = html_show_sphinx = False
html_show_search_summary = False  # a page from the disk may not fetch others
html_theme_options = {{
    "home_page_in_toc": True, "navbar_persistent": [], "show_toc_level": 2,
    "use_download_button": False, "use_fullscreen_button": False,
}}
myst_enable_extensions = ["amsmath", "dollarmath"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # of outputs too, or their tables stay text
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "misc.highlighting_failure"]
"""
STYLE = """\
.bd-article table { font-size: 0.85em; }
.bd-article p.rubric { display: block; }  /* the words and the code of a small heading on one line */
.bd-article table td, .bd-article table th { padding: 0.3em 0.45em; }
@media (max-width: 48rem) {  /* a narrow window: pictures keep a size at which words are read, and are moved sideways */
  .bd-article .cell_output { overflow-x: auto; }
  .bd-article .cell_output img { max-width: none; width: 44rem; }
}
"""
BROKEN = (  # what reading a damaged notebook raises, nbformat's own assertions among them
    *(OSError, ValueError, AttributeError, TypeError, AssertionError, StopIteration, nbformat.ValidationError),
)
MARK = "book.json"  # in a book: its profile and its files, by which the next one knows what it may replace
ICONS = "_static/scripts/fontawesome.js"  # 1.5 MB; the theme's style sheet draws the same icons from its fonts


def build_book(layout: Layout, out: Path) -> Path:
    """Build the book of a profile's executed notebooks of seed 0 in `out` and return its first page.

    `out` appears whole; an earlier book there, to which nothing was added, is replaced, and anything else is refused.
    Raises RunError where no executed notebooks are, where `out` cannot be written, or where one of them is
    damaged or a page cannot be built.
    """
    found, place = executed_notebooks(layout), out.resolve()
    _require_replaceable(place)
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    with _beside(place) as beside, tempfile.TemporaryDirectory(prefix="book-") as folder:
        source, built = Path(folder) / "source", Path(folder) / "built"
        source.mkdir()
        package = str(Path(__file__).parents[2])
        (source / "own").mkdir()
        write_text(source / "own" / "own.css", STYLE)
        write_text(source / "conf.py", CONF.format(package=package, profile=layout.study.profile))
        # pages tell places in the checkout, not where it lay
        here = json.dumps(f"{layout.root}/", ensure_ascii=False).strip('"')
        for path in found:
            nbformat.write(_page(path, here, layout), source / path.name)
        write_text(source / "index.md", front_page(layout.study, [path.stem for path in found]))
        try:
            with patch_docutils(source), docutils_namespace():
                Sphinx(source, source, built, Path(folder) / "doctrees", "html", status=None).build()
        except SphinxError as error:
            raise RunError(f"the book could not be built: {error}") from error
        for page in built.glob("*.html"):
            write_text(page, re.sub(rf"<script[^>]*{ICONS}[^>]*></script>", "", page.read_text(encoding="utf-8")))
        for each in ("_sources", "_static/locales", ICONS, ".buildinfo", "objects.inv", *_maps(built)):
            _remove(built / each)
        write_json(built / MARK, {"profile": layout.study.profile, "files": sorted(_files(built))})
        _replace(place, built, Path(beside))
    return out / "index.html"


def executed_notebooks(layout: Layout) -> list[Path]:
    """Return the executed notebooks of a profile, in order; of those for each seed that of seed 0."""
    folder = layout.runs / "notebooks"
    order = list(layout.study.variants)

    def place(path: Path) -> tuple[str, int, str]:
        variant = VARIANT.fullmatch(path.stem)
        name = variant[1] if variant else ""
        return path.stem[:2], order.index(name) if name in order else len(order), path.stem

    found = sorted((path for path in folder.glob("*.ipynb") if not OTHER_SEED.search(path.stem)), key=place)
    if not found:
        raise RunError(f"{folder} holds no executed notebook; run ./run_all.sh {layout.study.profile} first")
    return found


def _page(path: Path, here: str, layout: Layout) -> nbformat.NotebookNode:
    """Return an executed notebook fit for a page, without `here` in it. Raises RunError for a file that is broken."""
    try:
        text = path.read_text(encoding="utf-8").replace(here, "")
        plain = json.loads(text)
        nbformat.validate(plain, version=4, version_minor=plain.get("nbformat_minor"))
        return shortened(nbformat.reads(text, as_version=4), layout.study, path.stem)
    except BROKEN as error:
        told, step = str(error).partition("\n")[0], layout.runs / "steps" / f"{path.stem}.done"
        raise RunError(
            f"{path} is damaged or no executed notebook ({told}). The notebook has to be run again: delete {step}, "
            f"then ./run_all.sh {layout.study.profile}"
        ) from error


def front_page(study: Study, names: Sequence[str]) -> str:
    """Return the book's first page: what it shows, and the contents."""
    text = (
        "# GCL, a reproduction study\n\nThe notebooks of this study as they ran, in reading order: profile "
        f"`{study.profile}`, seed 0. Each asks one question, calls `gcl_core` and reads the result. The repository's "
        "README has the answer in short, and the commands that run all this.\n\n"
    )
    return text + "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"


def shortened(notebook: nbformat.NotebookNode, study: Study, name: str) -> nbformat.NotebookNode:
    """Return an executed notebook fit for a page: parameters as they were given, imports folded, no progress lines.

    What checks that files were written is left out. Pictures get at most WIDEST pixels. A training notebook gets its
    variant's title, as all of them come from one.
    """
    given = dict(line.split(" = ", 1) for line in _tagged(notebook, "injected-parameters") if " = " in line)
    cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    cells = [cell for cell in cells if not PROMISE.search(cell.source)]
    for cell in cells:
        if cell.cell_type == "markdown":  # files of the repository are no pages of the book
            cell.source = re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"\1", cell.source)
        if "parameters" in cell.metadata.get("tags", []):
            for key, value in given.items():
                cell.source = re.sub(rf"^{key} = .*$", lambda _, to=f"{key} = {value}": to, cell.source, flags=re.M)
        if cell.cell_type == "code":
            cell.outputs = [_output(each) for each in cell.outputs if each.get("name") != "stderr"]
            imports = re.match(r"(from|import) ", cell.source) is not None
            cell.metadata = {"tags": ["hide-input"]} if imports else {}
    variant = VARIANT.fullmatch(name)
    if variant is not None and variant[1] in study.variants:
        first = next(cell for cell in cells if cell.cell_type == "markdown")
        title = f"# 04 · Joint training: {study.variants[variant[1]].title}"
        first.source = re.sub(r"^# .*$", lambda _: title, first.source, count=1, flags=re.M)
    known = {name: notebook.metadata[name] for name in ("kernelspec", "language_info") if name in notebook.metadata}
    notebook.cells, notebook.metadata = cells, nbformat.from_dict(known)
    return notebook


def _tagged(notebook: nbformat.NotebookNode, tag: str) -> list[str]:
    """Return the lines of the cells with a tag."""
    cells = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    return [line for cell in cells for line in cell.source.splitlines()]


def _output(output: Any) -> Any:
    data = output.get("data", {})
    if WIDGET in data:
        return nbformat.v4.new_output("display_data", {"text/markdown": SLIDER})
    if "image/png" in data:
        data["image/png"] = _smaller(data["image/png"])
    return output


def _smaller(text: str) -> str:
    """Return a PNG in base64, at most WIDEST pixels wide, with a palette that keeps rare colours if that is smaller."""
    plain = base64.b64decode(text)
    with Image.open(io.BytesIO(plain)) as opened:
        picture = opened.convert("RGB")
    if picture.width > WIDEST:
        size = (WIDEST, round(picture.height * WIDEST / picture.width))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    made = io.BytesIO()
    palette = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=SETTLED, dither=Image.Dither.NONE)
    palette.save(made, "PNG", optimize=True)
    return base64.b64encode(min(plain, made.getvalue(), key=len)).decode()


def _require_replaceable(place: Path) -> None:
    """Raise RunError unless a folder is not there, empty, or a book made here to which nothing was added."""
    if not place.exists():
        return
    try:
        own = {MARK, *read_json(place / MARK)["files"]}
    except (RunError, TypeError):  # no mark, or none of ours
        own = set()
    if not place.is_dir():
        raise RunError(f"{place} is a file, no folder for a book; give another with --out")
    if other := next((name for name in _files(place) if name not in own), None):
        raise RunError(
            f"{place} holds {other}, which is of no book made here, and nothing there changed; give another folder "
            "with --out"
        )


def _files(folder: Path) -> Iterator[str]:
    """Yield the files below a folder, and links, as paths below it."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return (path.relative_to(folder).as_posix() for path in found)


def _beside(place: Path) -> "tempfile.TemporaryDirectory[str]":
    """Make a folder of a name of its own beside `place`. Raises RunError where none can be made."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent)
    except OSError as error:
        raise RunError(
            f"cannot write in {place.parent}: {why(error, place.parent)}; give another folder with --out"
        ) from error


def _replace(place: Path, built: Path, beside: Path) -> None:
    """Move a book to `place`; an earlier one stands aside until then, so that a kill leaves one of them."""
    fresh, earlier = beside / "new", beside / "earlier"
    shutil.move(built, fresh)
    try:
        if place.exists():
            place.rename(earlier)
        fresh.rename(place)
    finally:
        if earlier.exists() and not place.exists():
            earlier.rename(place)


def _maps(built: Path) -> list[str]:
    """Return the source maps of the theme, which nobody debugs here: a third of the book's bytes."""
    return [path.relative_to(built).as_posix() for path in (built / "_static").rglob("*.map")]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
