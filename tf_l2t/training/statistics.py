"""What a comparison says: means, standard errors, paired tests, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import scipy.stats

from tf_l2t.markdown import markdown_table
from tf_l2t.score import score_of


def summary(values: Sequence[float]) -> dict[str, float | None]:
    """Returns mean and standard error over seeds; no error for a single one."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "standard_error": error}


def paired_difference(values: Sequence[float], baseline: Sequence[float]) -> dict[str, Any]:
    """Compares two rows seed by seed, since students of one seed share weights and batches.

    Args:
        values: of a row, one a seed.
        baseline: of the row it is compared with, in the same order.

    Returns:
        "mean" and "standard_error" of the differences; "confidence_95", the ends of their 95 %
        confidence interval, and "p", of Student's paired t-test, two-sided. Of a single seed,
        or where all differences are the same, there is no test: these are None.
    """
    # Rounding errors are no spread: of them a t-test would make certainty.
    differences = [round(a - b, 12) for a, b in zip(values, baseline, strict=True)]
    result: dict[str, Any] = {**summary(differences), "confidence_95": None, "p": None}
    if result["standard_error"]:
        test = scipy.stats.ttest_1samp(differences, 0.0)
        interval = test.confidence_interval(0.95)
        result["confidence_95"] = [float(interval.low), float(interval.high)]
        result["p"] = float(test.pvalue)
    return result


def table(results: Mapping[str, Any]) -> str:
    """Returns the comparison of a results.json as a Markdown table, in % ± standard error.

    Where there is a baseline, each row has its difference from it, seed by seed, and the p of a
    paired t-test. A row whose students trained on dev data has no dev score.
    """
    score = score_of(results)
    baseline = results.get("baseline")
    variants = any(row.get("variant") for row in results["rows"].values())
    header = ["loss", f"test {score.reported} %", f"dev {score.reported} %"]
    header += [f"minus {baseline}", "p"] if baseline else []
    header += ["variant"] if variants else []
    header += ["learning rate", "seeds", "seconds a student"]
    lines = [header]
    for name, row in results["rows"].items():
        difference, dev = row.get("difference"), row[score.field("dev")]
        compared = [_signed(difference), _p(difference)] if baseline else []
        lines.append(
            [
                name,
                plus_minus(row[score.field("test")]),
                plus_minus(dev) if dev else "",
                *compared,
                *([row.get("variant", "")] if variants else []),
                f"{row['learning_rate']:g}",
                str(len(row["students"])),
                f"{row['seconds']['mean']:.1f}",
            ]
        )
    return markdown_table(lines)


def comma_separated(results: Mapping[str, Any]) -> str:
    """Returns the comparison of a results.json as CSV: a line for each row, in [0, 1]."""
    score = score_of(results)
    fields = [score.field("test"), score.field("dev"), "seconds"]
    parts = ["mean", "standard_error"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["loss", "seeds", "variant", "learning_rate"]
        + [f"{field}_{part}" for field in fields for part in parts]
        + ["difference_mean", "difference_standard_error", "confidence_low", "confidence_high", "p"]
    )
    for name, row in results["rows"].items():
        difference = row.get("difference", {})
        low, high = difference.get("confidence_95") or (None, None)
        writer.writerow(
            [name, len(row["students"]), row.get("variant"), row["learning_rate"]]
            + [(row[field] or {}).get(part) for field in fields for part in parts]
            + [difference.get(part) for part in parts]
            + [low, high, difference.get("p")]
        )
    return text.getvalue()


def plus_minus(value: Mapping[str, Any]) -> str:
    """Returns mean ± standard error in %."""
    mean, error = value["mean"], value["standard_error"]
    return f"{100 * mean:.2f}" + ("" if error is None else f" ± {100 * error:.2f}")


def _signed(difference: Mapping[str, Any] | None) -> str:
    return ("+" if difference["mean"] > 0 else "") + plus_minus(difference) if difference else ""


def _p(difference: Mapping[str, Any] | None) -> str:
    return f"{difference['p']:.2g}" if difference and difference["p"] is not None else ""
