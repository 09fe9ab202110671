"""How figures look and how they are saved: column width, colour-blind safe, the same bytes for the same content."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import PIL.Image
from IPython.display import Image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from gcl_core.config import Study
from gcl_core.figure_manifest import given_words, record_files
from gcl_core.files import RunError, atomic
from gcl_core.layout import Layout

COLUMN = 3.25  # inches: one column of a two-column paper
PAGE = 6.875  # inches: both columns
SCREEN_DPI = 110
PRINT_DPI = 300
FOOT = 8  # points: what a line at the foot takes
LARGE = 250_000  # bytes: a PNG above that is for looking at, its PDF keeps every colour
COLOURS = (  # seaborn's palette "colorblind"; importing seaborn for it would cost every notebook a second
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
BRIGHT = tuple(colour for colour in COLOURS if colour != "#949494")  # where grey means everybody else
GREY = "0.45"
VARIANTS = {  # variant → its colour in every figure of every profile; GCL and TDA stand out, the others are paler
    **{"gcl": "#0173b2", "tda": "#d55e00"},
    **{"copy": "#8c8c8c", "drawn_once": "#7fbfe6", "true_views": "#6aaf8b", "no_vi": "#b59bc8"},
    **{"surface": "#d19a1a", "surface_known": "#5e430a", "surface_cluster": "#e8cf5a"},  # by lightness too
    **{"surface_unturned": "#8c8250"},
    **{"no_l_vi": "#cfa9c9", "no_l_vi_prime": "#a9a9d6", "no_l_vi_second": "#c3b5a5"},
    **{"gcl_tda": "#5c8fb0", "gcl_light": "#3d9ec9", "tda_long": "#e3a37a", "true_views_tda": "#9fc9b3"},
    **{"gcl_released": "#4f7fb3", "gcl_quiet": "#94b8d9"},
    **{"tda_30": "#eec4a8", "copy_30": "#c4c4c4", "surface_30": "#b3a24a"},
}
MARKERS = "osD^vPX*<>phd"  # by VARIANTS' order, as dashes are: those that stand in one figure have their own
DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (6, 2))]

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # TrueType: text stays text, as publishers ask
    "svg.fonttype": "none",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the study's style inside this context; usable as a decorator too."""
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a matplotlibrc of one's own says
        mpl.rcParams.update(STYLE)
        yield


@contextmanager
def restyled(changes: dict[Any, Any]) -> Iterator[None]:
    """Change the study's style inside this context."""
    before = dict(STYLE)
    STYLE.update(changes)
    try:
        yield
    finally:
        STYLE.clear()
        STYLE.update(before)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches, that keeps labels inside its borders."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def look(study: Study, variant: str) -> dict[str, Any]:
    """Return colour, marker and dashes of a variant, told apart without colour too and the same in every figure.

    Variants that VARIANTS does not name, as those of a study of one's own, take the colours that nothing else has.
    """
    own = [name for name in study.variants if name not in VARIANTS]
    place = [*VARIANTS, *own].index(variant)
    turn = place // len(MARKERS)  # by which the dashes go on when the markers start over
    return {
        "color": VARIANTS.get(variant) or COLOURS[2 + own.index(variant) % (len(COLOURS) - 2)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[(place + turn) % len(DASHES)],
        "label": study.variants[variant].title,
    }


def picture(figure: Figure) -> Image:
    """Return a figure as a picture for a notebook to display, whatever the plotting backend."""
    stream = io.BytesIO()
    with styled():
        figure.savefig(stream, format="png", dpi=2 * SCREEN_DPI)
    return _on_screen(figure, stream.getvalue())


def _on_screen(figure: Figure, png: bytes) -> Image:
    return Image(data=png, width=round(figure.get_figwidth() * SCREEN_DPI))


def save_figure(figure: Figure, layout: Layout, name: str, *, runs: Sequence[Path], caption: str) -> Image:
    """Write `name`.pdf and `name`.png to the study's figures, as `write_figure` does; return it for display.

    Both are entered into the manifest with the run folders that they show.
    """
    write_foot(figure, given_words(layout.study))
    files = write_figure(figure, layout.figures, name)
    record_files(layout, files, runs=runs, caption=caption)
    return _on_screen(figure, files[-1].read_bytes())


def write_foot(figure: Figure, words: str) -> None:
    """Write a small line at the foot of a figure; no words change nothing.

    A constrained layout makes room for it; a figure with places of its own, as a gallery, grows by the line's height.
    """
    if not words:
        return
    engine, tall = figure.get_layout_engine(), figure.get_figheight()
    if isinstance(engine, ConstrainedLayoutEngine):
        room = FOOT / 72 / tall
        engine.set(rect=(0, room, 1, 1 - room))
    else:
        room = FOOT / 72 / (tall + FOOT / 72)
        figure.set_figheight(tall + FOOT / 72)
        for axes in figure.axes:
            left, bottom, wide, high = axes.get_position().bounds
            axes.set_position((left, room + (1 - room) * bottom, wide, (1 - room) * high))
        for text in figure.texts:
            text.set_y(room + (1 - room) * text.get_position()[1])
    figure.text(0.995, room / 4, words, ha="right", va="bottom", fontsize=FOOT - 3, color=GREY)


def write_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `name`.pdf (fonts embedded) and `name`.png (300 dpi) to a folder, whole or not at all; return both.

    A PNG of more than 250 kB, such as a gallery's, is reduced to 256 colours.
    """
    files = [folder / f"{name}.pdf", folder / f"{name}.png"]
    options: dict[str, Any] = {  # no date and no version: the same content gives the same bytes
        "pdf": {"metadata": {"CreationDate": None, "Producer": None, "Creator": None}},
        "png": {"metadata": {"Software": None}, "pil_kwargs": {"optimize": True}},
    }
    with styled():
        for path in files:
            kind = path.suffix.removeprefix(".")
            with atomic(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=PRINT_DPI, **options[kind])
                if kind == "png" and temporary.stat().st_size > LARGE:
                    _reduce_colours(temporary)
    return files


def _reduce_colours(path: Path) -> None:
    with PIL.Image.open(path) as image:
        reduced = image.convert("RGB").quantize(256, PIL.Image.Quantize.FASTOCTREE, dither=PIL.Image.Dither.NONE)
    reduced.save(path, format="png", optimize=True, dpi=(PRINT_DPI, PRINT_DPI))


def is_narrow(picture: Path) -> bool:
    """Return whether a PNG that `write_figure` wrote is of a figure one column wide, give or take a pixel.

    Raises RunError for a file that is none.
    """
    try:
        with PIL.Image.open(picture) as image:
            return image.width <= round(COLUMN * PRINT_DPI) + 1
    except OSError as error:  # also what is no picture
        raise RunError(f"cannot read the figure {picture}: {error}; run the notebook that writes it") from error
