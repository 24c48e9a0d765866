"""Few numbers that say what coefficients of any shape are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_l2t.markdown import escaped, markdown_table
from tf_l2t.runtime.heat_map import MAX_ANNOTATED

# At most half of the fewest classes that have a table.
_SHOWN = 10


def is_matrix(value: np.ndarray) -> bool:
    """Returns whether a coefficient has a row and a column for each class, as Φ has."""
    return value.ndim == 2 and value.shape[0] == value.shape[1]


def names_of(classes: int, class_names: Sequence[str]) -> Sequence[str]:
    """Returns the names of the classes, their numbers where the names are those of others."""
    return class_names if len(class_names) == classes else [str(k) for k in range(classes)]


def scalars_of(
    name: str, value: np.ndarray, class_names: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> dict[str, float]:
    """Returns tags and numbers: one for a scalar, few for a matrix of however many classes.

    Args:
        name: of the coefficient.
        value: of any shape.
        class_names: of rows and columns.
        pairs: of which classes a matrix is shown entry by entry.
    """
    if not value.size:
        return {}
    if value.ndim == 0:
        return {f"{name}/value": float(value)}
    if not is_matrix(value):
        if value.ndim == 1 and value.size <= MAX_ANNOTATED:
            return {f"{name}/{k:02d}": entry for k, entry in enumerate(value.tolist())}
        return _parts(name, "", value)
    diagonal = value.diagonal()
    beside = value[~np.eye(len(value), dtype=bool)]
    numbers = {f"{name}/diagonal_mean": float(diagonal.mean())}
    if beside.size:
        numbers |= _parts(name, "off_diagonal_", beside)
    if len(value) <= MAX_ANNOTATED:
        labels = names_of(len(value), class_names)
        numbers |= {
            f"{name}_diagonal/{label}": float(v) for label, v in zip(labels, diagonal, strict=True)
        }
    return numbers | pair_scalars(name, value, class_names, pairs)


def histograms_of(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Returns tags and values; the diagonal of a matrix, which dwarfs the rest, is apart."""
    if not value.ndim or not value.size or not np.isfinite(value).all():
        return {}
    if not is_matrix(value):
        return {f"{name}/histogram": value}
    diagonal = np.eye(len(value), dtype=bool)
    return {
        f"{name}/histogram_of_{part}": value[mask]
        for part, mask in (("diagonal", diagonal), ("off_diagonal", ~diagonal))
        if mask.any()
    }


def tables_of(name: str, value: np.ndarray, class_names: Sequence[str]) -> dict[str, str]:
    """Returns tags and tables in Markdown: which of many classes have the least and the most.

    Args:
        name: of the coefficient.
        value: of any shape; there is no table but for one entry for each of many classes.
        class_names: of these, for example the words of a vocabulary.
    """
    many = value.ndim == 1 and value.size > MAX_ANNOTATED
    if not many or value.size != len(class_names) or not np.isfinite(value).all():
        return {}
    order = np.argsort(value, kind="stable")
    cells = lambda k: [escaped(class_names[k]), f"{value[k]:.4g}"]
    extremes = zip(order[:_SHOWN], order[::-1][:_SHOWN], strict=True)
    lines = [["least", "", "most", ""], *([*cells(low), *cells(high)] for low, high in extremes)]
    return {f"{name}/least_and_most": markdown_table(lines)}


def pair_scalars(
    name: str, value: np.ndarray, class_names: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> dict[str, float]:
    """Returns the entries (i, j) of a matrix, those that it has, under the names of the classes."""
    names = names_of(len(value), class_names)
    return {
        f"{name}_pairs/true {names[i]}, class {names[j]}": float(value[i, j])
        for i, j in pairs
        if max(i, j) < len(value)
    }


def _parts(name: str, prefix: str, value: np.ndarray) -> dict[str, float]:
    return {
        f"{name}/{prefix}mean": float(value.mean()),
        f"{name}/{prefix}min": float(value.min()),
        f"{name}/{prefix}max": float(value.max()),
    }
