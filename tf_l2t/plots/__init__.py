"""Figures of a run, made from its directory alone."""

from tf_l2t.plots.write import write_figures

__all__ = ["write_figures"]
