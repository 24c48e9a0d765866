"""How all figures look."""

from __future__ import annotations

from matplotlib.axis import Axis
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
"""Okabe and Ito's, which the colour-blind can tell apart, from the clearest on white down."""

LINES = ("-", "--", "-.", ":")

STAGES = ("#56B4E9", "#0072B2", "#00263F")
"""Begin, middle and end of a student, from light to dark."""

STYLE = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "legend.fontsize": 9,
    "figure.dpi": 130,
}


def logarithmic(axis: Axis) -> None:
    """Labels 1, 2, 5, 10 … on an axis that is logarithmic already, and no powers of 10."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
