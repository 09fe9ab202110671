"""A Sphinx extension: equations as SVG in the page, set by matplotlib, so that a book needs no network."""

import html
import io
import re
from typing import Any

from matplotlib import mathtext
from matplotlib.font_manager import FontProperties

SIZE = 13  # points; a page's text is 16 pixels high


def equation(text: str) -> str:
    """Return TeX mathematics as an SVG element. Raises ValueError for what matplotlib's mathtext cannot set."""
    made = io.StringIO()
    bare = " ".join(text.split())
    depth = mathtext.math_to_image(f"${bare}$", made, prop=FontProperties(size=SIZE), format="svg")
    svg = made.getvalue()[made.getvalue().index("<svg") :]
    svg = re.sub(
        r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL
    )  # it has the time: a book made twice is the same
    height = re.search(r'height="([\d.]+)pt"', svg)
    assert height is not None
    shift = f"vertical-align:-{depth / SIZE:.2f}em" if depth else ""
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(bare)}" style="{shift}" ', 1)


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer with Sphinx."""

    def inline(writer: Any, node: Any) -> None:
        writer.body.append(f'<span class="math">{equation(node.astext())}</span>')
        raise _skip()

    def block(writer: Any, node: Any) -> None:
        lines = [line for line in re.split(r"\\\\", node.astext()) if line.strip()]
        shown = "".join(f"<div>{equation(line.replace('&', ''))}</div>" for line in lines)
        writer.body.append(f'<div class="equation" style="margin:1em 2em;text-align:center">{shown}</div>')
        raise _skip()

    app.add_html_math_renderer("matplotlib", (inline, None), (block, None))
    app.config.html_math_renderer = "matplotlib"
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _skip() -> Exception:
    from docutils.nodes import SkipNode

    return SkipNode()
