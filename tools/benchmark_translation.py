#!/usr/bin/env python3
"""Measures how fast a student translates, and what a truncated hypergradient says of a whole one.

    tools/benchmark_translation.py search --student_settings units=320,embedding=256
    tools/benchmark_translation.py search --student_dir runs/NAME/students/student-0 --text DIR
    tools/benchmark_translation.py truncation --text DIR --warm_start 200

`search`: an exported student translates --sentences lines as `python -m tf_l2t.translate` does,
text to text, by beam search and greedily (a beam of 1). A student that has learned nothing ends
its sentences where it must, at 1.5 times the pieces of the source and 10 more, so that its times
are those of the longest translations; a trained one, of --student_dir, has the beam that it was
exported with.

`truncation`: a student is trained once and again under the same teacher, and each time the reverse
pass goes through the last so many steps only. Set beside the whole hypergradient dM/dθ are the
cosine of the angle between the two, their norms, |λ| where the reverse pass ends over |λ_T|, and
the seconds of the reverse pass. Before the --steps that are taught, --warm_start steps on cross
entropy may go, as in gin/lstm1_multi30k.gin.

Table to stdout; with --json one JSON object to stdout, and the table to stderr.
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import measuring
import numpy as np
import tensorflow as tf
from benchmark_options import UPDATE_RULES, builder, positive, positives, translators
from benchmark_report import cell, print_result
from benchmark_text import add_text_options, text_and_vocabularies

from tf_l2t import translate
from tf_l2t.data import ParallelText
from tf_l2t.data.vocabularies import MakeVocabularies
from tf_l2t.decoding import TextTranslator
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.losses import DynamicDiagonal, PerToken
from tf_l2t.markdown import markdown_table
from tf_l2t.measures import TranslationLogLikelihood
from tf_l2t.runtime.export import export_student
from tf_l2t.runtime.run_directory import versions
from tf_l2t.students import TranslationStudent
from tf_l2t.tasks import Translation
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.budget import Budget
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.warm_start import WarmStart

Translate = Callable[[list[str]], list[str]]


def search(args: argparse.Namespace) -> dict[str, Any]:
    """Measures translations; returns what is particular to it of the JSON object."""
    text, vocabularies = text_and_vocabularies(
        args.text, args.vocabulary, dev_pairs=1, seed=args.seed, test_pairs=args.sentences
    )
    given = itertools.chain.from_iterable(pairs.source for pairs in text.test.values())
    sentences = list(itertools.islice(given, args.sentences))
    if len(sentences) < args.sentences:
        raise ValueError(
            f"--sentences is {args.sentences}, and {text.name} has {len(sentences)} test sentences;"
            " give fewer."
        )
    ways = _ways(args, text, vocabularies)
    lines = "".join(f"{sentence}\n" for sentence in sentences)
    written: dict[str, str] = {}

    def run(name: str) -> None:
        out = io.StringIO()
        translate.translate_lines(ways[name], io.StringIO(lines), out, args.batch)
        written[name] = out.getvalue()

    for name, way in ways.items():
        measuring.say(f"tracing {name}")
        way(sentences[: args.batch])
    runs = {name: functools.partial(run, name) for name in ways}
    times = measuring.take_turns(runs, args.repeats)
    count = len(sentences)
    return {
        "text": text.name,
        "source_words_a_sentence": len(lines.split()) / count,
        "ways": {
            name: {
                "seconds": measuring.spread(took),
                "sentences_per_second": measuring.spread([count / each for each in took]),
                "written_words_a_sentence": len(written[name].split()) / count,
            }
            for name, took in times.items()
        },
    }


def _ways(
    args: argparse.Namespace, text: ParallelText, vocabularies: MakeVocabularies
) -> dict[str, Translate]:
    """Returns the student of the options, once for each way in which it is to search."""
    if args.student_dir:
        return {"beam search of the export": translate.load(pathlib.Path(args.student_dir))}
    source, target = vocabularies(text)
    build = builder(args.student, False, args.student_settings)
    student = TranslationStudent(build, source.size, target.size)
    model = student.model_with(*student.initial(args.seed))
    ways = {}
    for beam in args.beams:
        # A beam of 1 writes the likeliest word each time where lengths have no penalty.
        name, penalty = ("greedy", 0.0) if beam == 1 else (f"beam of {beam}", args.penalty)
        ways[name] = _exported(
            TextTranslator(model, source, target, text.form, beam_size=beam, length_penalty=penalty)
        )
    return ways


def _exported(translator: TextTranslator) -> Translate:
    """Returns the student as it is after an export, which is how users have it."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "students" / "student-0"
        export_student(translator, path)
        return translate.load(path)


def search_table(result: dict[str, Any]) -> str:
    """Returns what `search` measured as Markdown."""
    settings = result["settings"]
    student = settings["student_dir"] or f"{settings['student']}, untrained"
    rows = [
        [
            name,
            cell(way["seconds"], 2),
            cell(way["sentences_per_second"], 1),
            f"{way['written_words_a_sentence']:.1f}",
        ]
        for name, way in result["ways"].items()
    ]
    title = (
        f"{student}; {settings['sentences']:,} sentences of {result['text']}, of "
        f"{result['source_words_a_sentence']:.1f} words on average, {settings['batch']} at a time; "
        f"median (min..max) of {settings['repeats']}"
    )
    header = ["", "seconds", "sentences a second", "words written a sentence"]
    return f"{title}; {_machine(result)}\n\n{markdown_table([header, *rows])}"


def truncation(args: argparse.Namespace) -> dict[str, Any]:
    """Compares hypergradients; returns what is particular to it of the JSON object."""
    made = text_and_vocabularies(args.text, args.vocabulary, args.dev_examples, args.seed)
    build = builder(args.student, False, args.student_settings)
    sizes = {"batch_size": args.batch, "measured_examples": args.dev_examples}
    task = Translation(*made, build, TranslationLogLikelihood(), **sizes)
    loss = PerToken(DynamicDiagonal())
    shapes = task.coefficient_shapes(loss)
    teacher = attention_teacher(shapes, len(task.feature_names), num_keys=5, seed=args.seed)
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    outer = OuterGradient(task.dev_loss, task.num_dev_chunks)
    optimization = UPDATE_RULES[args.update_rule]
    budget = Budget(
        args.warm_start + args.steps,
        warm_start_steps=args.warm_start,
        observe_every=args.segment_length,
    )
    warm_start = None
    if args.warm_start:
        warm = Budget(args.warm_start, observe_every=args.segment_length)
        rule = optimization.rule(optimization.plain_rate)
        warm_start = WarmStart(Teaching(task, task.likelihood, rule, warm))
    segments = None

    def hypergradient(truncate: int) -> dict[str, Any]:
        nonlocal segments
        teaching = Teaching(
            task,
            loss,
            optimization.rule(optimization.taught_rate),
            budget,
            teacher,
            warm_start=warm_start,
            truncate=truncate,
        )
        # Every student is trained alike: what was compiled for the first serves all.
        teaching.engine.segments = segments = segments or teaching.engine.segments
        lesson = teaching.roll_out(theta, args.seed, record=True)
        ((_, adjoint),) = teaching.differentiate_each([lesson], outer)
        found = []

        def reverse() -> None:
            (result,) = teaching.reverse_each([lesson], theta, [adjoint])
            flat = [tf.reshape(each, [-1]) for each in result.gradients]
            found.append(tf.concat(flat, 0).numpy().astype(np.float64))
            found.append(float(result.initial_norm / result.final_norm))

        took = measuring.seconds(reverse)
        return {"gradient": found[0], "amplification": found[1], "reverse_seconds": took}

    lengths = [*args.truncate, args.steps]
    measuring.say("tracing the teacher step")
    hypergradient(lengths[0])
    rows = []
    for length in lengths:
        measuring.say(f"the last {length} of {args.steps} steps")
        rows.append({"steps": length, **hypergradient(length)})
    whole = rows[-1]["gradient"]
    for row in rows:
        part = row.pop("gradient")
        norms = np.linalg.norm(part), np.linalg.norm(whole)
        row["cosine"] = float(part @ whole / np.prod(norms))
        row["norm_ratio"] = float(norms[0] / norms[1])
    return {
        "text": made[0].name,
        "weights": task.student.num_weights,
        "hypergradient_norm": float(np.linalg.norm(whole)),
        "truncations": rows,
    }


def truncation_table(result: dict[str, Any]) -> str:
    """Returns what `truncation` measured as Markdown."""
    settings = result["settings"]
    rows = [
        [
            f"{row['steps']}" + (", all" if row["steps"] == settings["steps"] else ""),
            f"{row['cosine']:.4f}",
            f"{row['norm_ratio']:.3f}",
            f"{row['amplification']:.3g}",
            f"{row['reverse_seconds']:.2f}",
        ]
        for row in result["truncations"]
    ]
    title = (
        f"{settings['student']} ({result['weights']:,} weights), T = {settings['steps']} after "
        f"{settings['warm_start']} steps on cross entropy, {settings['update_rule']}, batch "
        f"{settings['batch']}, {result['text']}"
    )
    header = ["last steps", "cosine with all", "norm / that of all", "|λ_0|/|λ_T|", "reverse, s"]
    return f"{title}; {_machine(result)}\n\n{markdown_table([header, *rows])}"


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    load = "-" if machine["load"] is None else f"{machine['load']:.1f}"
    return f"{machine['cores']} cores of {machine['cpu']}, load {load}"


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the options; exits with code 2 and says why where they make no sense."""
    summary, _, details = __doc__.partition("\n\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=summary, epilog=details, formatter_class=form)
    modes = parser.add_subparsers(dest="mode", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    add = shared.add_argument
    add(
        "--student",
        choices=list(translators()),
        default="lstm_translator",
        help="(default lstm_translator)",
    )
    add("--student_settings", default="", metavar="A=1,B=2", help="its arguments, as units=320")
    add_text_options(shared)
    add("--batch", type=positive, default=64, help="sentences at a time (default 64)")
    add("--seed", type=int, default=0, help="of text and student, from 0 (default 0)")
    add("--json", action="store_true", help="JSON to stdout, the table to stderr")

    searching = modes.add_parser("search", parents=[shared], help="how fast a student writes")
    add = searching.add_argument
    add("--student_dir", metavar="DIR", help="an exported student instead, for --text")
    add("--sentences", type=positive, default=1000, help="to translate (default 1000)")
    add("--beams", type=positives, default=[5, 1], help="1 is greedy (default 5,1)")
    add("--penalty", type=float, default=1.0, help="of length, of the beam search (default 1)")
    add("--repeats", type=positive, default=3, help="turns (default 3)")

    truncated = modes.add_parser("truncation", parents=[shared], help="how much is lost by it")
    add = truncated.add_argument
    add("--steps", type=positive, default=160, help="T, steps that are taught (default 160)")
    add("--truncate", type=positives, default=[10, 20, 40, 80], help="(default 10,20,40,80)")
    add("--segment_length", type=positive, default=10, help="of a compiled loop (default 10)")
    add("--warm_start", type=int, default=0, help="steps on cross entropy before (default 0)")
    add("--dev_examples", type=positive, default=256, help="of the dev gradient (default 256)")
    add("--update_rule", choices=list(UPDATE_RULES), default="adam", help="(default adam)")
    args = parser.parse_args(argv)
    if args.seed < 0:
        parser.error(f"--seed must be from 0, got {args.seed}")
    if args.mode == "search":
        _check_search(searching, args)
    else:
        _check_truncation(truncated, args)
    return args


def _check_search(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if not args.student_dir:
        return
    if not args.text:
        parser.error("--student_dir needs real sentences; give --text DIR")
    for name in ("student", "student_settings", "vocabulary", "beams", "penalty"):
        if getattr(args, name) != parser.get_default(name):
            parser.error(f"--{name} is that of the export with --student_dir; leave it out")


def _check_truncation(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.warm_start < 0:
        parser.error(f"--warm_start must be from 0, got {args.warm_start}")
    # Else a segment starts elsewhere, where the teacher sees another state of the student.
    for length in args.truncate:
        if length >= args.steps or (args.steps - length) % args.segment_length:
            parser.error(
                f"--truncate {length} must leave a multiple of --segment_length "
                f"{args.segment_length} of the {args.steps} steps; give others"
            )


def main(argv: Sequence[str]) -> int:
    """Measures and prints what the options ask for; returns the exit code."""
    args = arguments(argv)
    measure, table = (
        (search, search_table) if args.mode == "search" else (truncation, truncation_table)
    )
    try:
        found = measure(args)
    except ValueError as error:
        print(f"benchmark_translation.py: {error}", file=sys.stderr)
        return 2
    result = {
        "settings": {name: value for name, value in vars(args).items() if name != "json"},
        "machine": measuring.machine(),
        "versions": versions(),
        **found,
    }
    print_result(result, table(result), args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
