"""How pictures are drawn: one style, colors that the page chooses, gaps that cannot be overlooked.

A color stands for a role, which the page's style sheet gives a color for light and for dark. The
two sides differ in shape and dashes as well, so nothing depends on seeing colors.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import Transform

from agent.report.picture import Picture, Table
from agent.report.subject import BASELINE, COMMAND, OPTIMIZED
from agent.report.svg import for_page

INK, MUTED, LINE, PAPER = "#1a1d21", "#59616c", "#cdd2d9", "#fefefe"
FIRST, SECOND = "#0b5cad", "#b34700"
ROLES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    PAPER: "paper",
    FIRST: "first",
    SECOND: "second",
}
"""The class of each color; report.css has a color for each in light and in dark."""

WIDTH, HEIGHT = 375.0, 265.0
"""In points. A phone is about as wide, so that text stays readable there."""
HEIGHT_WITHOUT = 120.0
"""Of a picture that only says why there is none."""
POINTS_PER_INCH = 72
LETTERS = 52
"""Of the text in a picture, as many fit in a line."""
HATCH = "////"
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    # a name may contain a dollar sign
    "text.parse_math": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.color": MUTED,
    "hatch.linewidth": 0.7,
}


class Look(NamedTuple):
    """How one side looks: its color, its marker, its dashes."""

    color: str
    marker: str
    dashes: str


LOOKS = {
    COMMAND: Look(FIRST, "o", "-"),
    BASELINE: Look(FIRST, "o", "-"),
    OPTIMIZED: Look(SECOND, "s", "--"),
}


def drawn(
    name: str,
    title: str,
    description: str,
    draw: Callable[[Axes], None],
    height: float = HEIGHT,
) -> str:
    """Return a picture as SVG for a page.

    ``name`` is unique in the page. ``title`` and ``description`` are what is read out instead of
    the picture.
    """
    style = {**STYLE, "svg.hashsalt": name}
    with matplotlib.style.context(style, after_reset=True), warnings.catch_warnings():
        # A command may have any name; the browser has the font for it.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        size = (WIDTH / POINTS_PER_INCH, height / POINTS_PER_INCH)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        raw = io.StringIO()
        figure.savefig(raw, format="svg")
    return for_page(raw.getvalue(), ROLES, name, title, description)


def without(name: str, title: str, text: str, missing: Table) -> Picture:
    """Return a picture that says why there is nothing to draw."""
    svg = drawn(name, title, text, lambda axes: blank(axes, text), HEIGHT_WITHOUT)
    return Picture(name, title, svg, [missing])


def without_sides(name: str, title: str, why: Sequence[tuple[str, str]]) -> Picture:
    """The same where each side has its own reason: ``why`` has them by the side's name."""
    text = "; ".join(dict.fromkeys(f"{side}: {reason}" for side, reason in why))
    return without(name, title, text, Table(title, ("side", "why"), why))


def blank(axes: Axes, text: str) -> None:
    """Draw that there is nothing to draw, and why."""
    axes.set_axis_off()
    hatched(axes, 0, 0, 1, 1, axes.transAxes)
    _note(axes, 0.5, text)


def gaps(axes: Axes, texts: Sequence[str]) -> None:
    """Draw a hatched band for each side that a picture lacks, with the reason in it."""
    for index, text in enumerate(texts):
        low, high = 0.02 + 0.14 * index, 0.13 + 0.14 * index
        hatched(axes, 0.01, low, 0.99, high, axes.transAxes)
        _note(axes, (low + high) / 2, text)


def hatched(
    axes: Axes,
    left: float,
    bottom: float,
    right: float,
    top: float,
    transform: Transform | None = None,
) -> None:
    """Hatch a box, in the coordinates of the data unless ``transform`` says otherwise."""
    axes.add_patch(
        Rectangle(
            (left, bottom),
            right - left,
            top - bottom,
            facecolor="none",
            edgecolor=MUTED,
            hatch=HATCH,
            linewidth=0,
            zorder=4,
            transform=transform or axes.transData,
        )
    )


def _note(axes: Axes, height: float, text: str) -> Text:
    """Write text over a hatched area."""
    return axes.text(
        0.5,
        height,
        fill(text, LETTERS),
        ha="center",
        va="center",
        transform=axes.transAxes,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 2},
        zorder=5,
    )


def ticks(axis: Axis, places: Sequence[float], text: Callable[[float], str]) -> None:
    """Have labels at these places and nowhere else."""
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))


def labels(axis: Axis, text: Callable[[float], str]) -> None:
    """Have a function make the labels of amounts, where the library chooses their places.

    The library's own labels are in a language of formulas.
    """
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value) if value else "0"))


def legend(axes: Axes) -> None:
    """Name the sides above the picture, where it hides nothing."""
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=2.4)
