#!/usr/bin/env python3
"""Makes the tables of results/ from nothing, and goes on after an interruption.

    tools/reproduce.py --table 1
    tools/reproduce.py --table noisy
    tools/reproduce.py --table 2 --rows resnet8_cifar10
    tools/reproduce.py --table 3
    tools/reproduce.py --table transfer   # takes the teachers of the others

Every run is a command of the package, `python -m tf_l2t.train` or `compare`, in a directory of its
own under --runs, and goes on from where it was interrupted; those of a table of translations share
what their students have in common, as long as they can. As many run side by side as there are
cores, each pinned to one: that is faster than one after the other on all. At the end, and with
--report at any time, results/table1.json (of a named table results/table_noisy.json) holds the
numbers, configuration and command of every run that is complete, the .md beside it the Markdown,
and the .png the figure; results/teachers/ has the teacher of every run that trained one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tables import TABLES, Run, Table, kept_teacher, record_name, write_figure  # noqa: E402

from tf_l2t.runtime.files import replace_directory, write_json, write_text  # noqa: E402

# Of each student; curves that the figures of a run show, and that would fill the repository.
_CURVES = (
    "training_loss",
    "segment_starts",
    "observed_training_accuracy",
    "observed_dev_accuracy",
    "observed_training_bleu",
    "observed_dev_bleu",
)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the options."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--table", required=True, choices=list(TABLES), help="which table")
    add("--runs", type=pathlib.Path, default=pathlib.Path("runs/tables"), help="(%(default)s)")
    add("--results", type=pathlib.Path, default=ROOT / "results", help="(results/)")
    add("--jobs", type=int, default=len(_cores()), help="runs side by side (default %(default)s)")
    some = parser.add_mutually_exclusive_group().add_argument
    some("--rows", nargs="+", metavar="ROWS", help="the runs of these settings alone")
    some("--only", nargs="+", metavar="RUN", help="these runs alone; the table has what is there")
    add(
        "--keep",
        action="store_true",
        help="don't repeat runs that results/ has, of the same command and gin",
    )
    add("--report", action="store_true", help="run nothing, write what is complete")
    args = parser.parse_args(argv)
    runs = TABLES[args.table].runs
    for option, kind, names in (
        ("--rows", "setting", [run.chosen_by for run in runs]),
        ("--only", "run", [run.name for run in runs]),
    ):
        given = getattr(args, option.strip("-"))
        if unknown := sorted({*(given or ())} - {*names}):
            there = list(dict.fromkeys(names))
            parser.error(f"{option}: there is no {kind} {unknown}; table {args.table} has {there}")
    if args.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {args.jobs}")
    return args


def main(argv: Sequence[str]) -> int:
    """Makes a table; returns 0 if what was asked for is complete, else 1, or 130 if interrupted."""
    args = arguments(argv)
    table = TABLES[args.table]
    record = args.results / f"{record_name(args.table)}.json"
    todo = [run for run in table.runs if not args.only or run.name in args.only]
    todo = [run for run in todo if not args.rows or run.chosen_by in args.rows]
    asked = {run.name for run in todo}
    if args.keep:
        kept = _kept(table, record, args.results)
        todo = [run for run in todo if run.name not in kept]
    code = 0
    try:
        if not args.report:
            code = _run_all(todo, args)
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        code = 130
    found = {run.name: _collect(run, args) for run in table.runs}
    for name, result in found.items():
        if result:
            teacher = args.runs / args.table / name / "teacher"
            _keep_teacher(teacher, kept_teacher(args.results, args.table, name))
    # Read now, and not before the runs: others may have reported in the meantime.
    kept = _kept(table, record, args.results)
    found = {name: result or kept.get(name) for name, result in found.items()}
    _report(table, {name: result for name, result in found.items() if result}, record)
    missing = [name for name, result in found.items() if not result]
    if missing:
        how = lambda name: _status(args.runs / args.table / name) or "not begun"
        print("Not complete: " + ", ".join(f"{name} ({how(name)})" for name in missing))
    return code or int(bool(asked.intersection(missing)))


def _kept(table: Table, record: pathlib.Path, results: pathlib.Path) -> dict[str, Any]:
    """Returns the runs that a table's record has, less those of earlier commands or teachers."""
    runs = json.loads(record.read_text())["runs"] if record.exists() else {}
    return {
        run.name: runs[run.name]
        for run in table.runs
        if run.name in runs
        and runs[run.name]["made_by"] == _made_by(run)
        and _is_of_its_teacher(run, runs[run.name], results)
    }


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def _made_by(run: Run) -> dict[str, str]:
    """Returns the command of a run, and a digest of its gin file with all that this includes.

    Lines of comments do not enter it, so that these can be mended without a run.
    """
    command = ["python", "-m", f"tf_l2t.{run.program}", *run.command(pathlib.Path("results"))]
    names, texts = [run.gin_file], {}
    while names:
        name = names.pop()
        if name not in texts:
            lines = (ROOT / name).read_text().splitlines()
            said = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
            texts[name] = "\n".join(said)
            names += re.findall(r'^include "(.*)"', texts[name], re.MULTILINE)
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    return {"command": shlex.join(command), "gin_sha256": digest.hexdigest()}


def _commit() -> str | None:
    """Returns which commit the code is of, with "-dirty" if it was changed; None outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "tf_l2t", "tools", "gin")
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _run_all(todo: list[Run], args: argparse.Namespace) -> int:
    """Runs side by side, each on a core of its own; returns 1 if one of them failed."""
    runs = args.runs / args.table
    # Like Ctrl-C: runs that nobody waits for would go on alone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runs.mkdir(parents=True, exist_ok=True)
    cores = _cores()
    todo = [run for run in todo if not _collect(run, args)]
    waiting = [run for run in todo if _has_its_teacher(run, args.results)]
    failed = len(waiting) < len(todo)
    free = [cores[k % len(cores)] for k in range(args.jobs)]
    working: dict[subprocess.Popen, tuple[Run, int, float, dict[str, Any]]] = {}
    try:
        while waiting or working:
            while waiting and free:
                run, core = waiting.pop(0), free.pop(0)
                mark = _begun(run, runs)
                # It was of what lay there before; a new one comes with the end of the run.
                (runs / f"{run.name}.made_by").unlink(missing_ok=True)
                working[_start(run, args, runs, core)] = (run, core, time.monotonic(), mark)
                print(f"{run.name}: started; {runs / run.name}.log tells how far it is", flush=True)
            time.sleep(0.2)
            for process in [each for each in working if each.poll() is not None]:
                run, core, start, mark = working.pop(process)
                free.append(core)
                minutes = (time.monotonic() - start) / 60
                how = "done" if process.returncode == 0 else f"failed, code {process.returncode}"
                print(f"{run.name}: {how} after {minutes:.1f} minutes", flush=True)
                failed |= process.returncode != 0
                if process.returncode == 0:
                    write_json(runs / f"{run.name}.made_by", mark)
    finally:
        _end(list(working))
    return int(failed)


def _begun(run: Run, runs: pathlib.Path) -> dict[str, Any]:
    """Returns what a run is made by, as the files are now: they may change while it runs.

    Of one that goes on that is the commit that it began with, and the one that it goes on with.
    """
    path, now = runs / f"{run.name}.begun", {**_made_by(run), "commit": _commit()}
    begun = json.loads(path.read_text()) if path.exists() and (runs / run.name).exists() else {}
    if {**begun, "commit": now["commit"]} != now:
        write_json(path, now)
        return now
    return begun if begun == now else {**begun, "resumed_at": now["commit"]}


def _end(processes: list[subprocess.Popen]) -> None:
    """Lets runs save what they have and end; a second Ctrl-C ends them at once."""
    try:
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()
        raise


def _start(run: Run, args: argparse.Namespace, runs: pathlib.Path, core: int) -> subprocess.Popen:
    # Relative, since the results of a run say where its teacher was.
    results = pathlib.Path(os.path.relpath(args.results))
    command = [sys.executable, "-m", f"tf_l2t.{run.program}", *run.command(results)]
    pinned = args.jobs > 1 and hasattr(os, "sched_setaffinity")
    command.append(f"--run_dir={runs / run.name}")
    if TABLES[args.table].warm_starts:
        command.append(f"--warm_starts={runs / 'warm_starts'}")
    with open(runs / f"{run.name}.log", "a") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Several runs may share a GPU, of which one takes all the memory otherwise.
            env={"TF_FORCE_GPU_ALLOW_GROWTH": "true", **os.environ, "PYTHONPATH": str(ROOT)},
            # Ctrl-C reaches the runs once, from here.
            start_new_session=True,
            preexec_fn=(lambda: os.sched_setaffinity(0, {core})) if pinned else None,
        )


def _keep_teacher(teacher: pathlib.Path, kept: pathlib.Path) -> None:
    """Copies the teacher of a complete run, if it trained one."""
    if not teacher.exists():
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    fresh = kept.with_name(f".{kept.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(teacher, fresh)
    replace_directory(fresh, kept)


def _has_its_teacher(run: Run, results: pathlib.Path) -> bool:
    """Returns whether the teacher that a run takes is there, and says how to make it if not."""
    if run.teacher is None or kept_teacher(results, *run.teacher).exists():
        return True
    table, name = run.teacher
    print(f"{run.name}: left out; first do tools/reproduce.py --table {table} --only {name}")
    return False


def _is_of_its_teacher(run: Run, result: dict[str, Any], results: pathlib.Path) -> bool:
    """Returns whether a run took the teacher that is kept now, if it takes one."""
    if run.teacher is None:
        return True
    described = kept_teacher(results, *run.teacher) / "teacher.json"
    digest = hashlib.sha256(described.read_bytes()).hexdigest() if described.exists() else None
    return result["taught_by"]["sha256"] == digest


def _status(directory: pathlib.Path) -> str | None:
    path = directory / "results.json"
    return json.loads(path.read_text()).get("status") if path.exists() else None


def _collect(run: Run, args: argparse.Namespace) -> dict[str, Any] | None:
    """Returns what the table keeps of a run, None if that is not complete, or of other files."""
    runs = args.runs / args.table
    directory, mark = runs / run.name, runs / f"{run.name}.made_by"
    made_by = json.loads(mark.read_text()) if mark.exists() else {}
    commits = {key: made_by.pop(key, None) for key in ("commit", "resumed_at")}
    if _status(directory) != "complete" or made_by != _made_by(run):
        return None
    results = json.loads((directory / "results.json").read_text())
    if not _is_of_its_teacher(run, results, args.results):
        return None
    for row in results["rows"].values():
        for student in row["students"].values():
            for curve in _CURVES:
                student.pop(curve, None)
    results = {k: v for k, v in results.items() if k not in ("table", "checksum")}
    if run.teacher:
        # As in the command, wherever this copy of the repository lies.
        results["taught_by"]["path"] = str(kept_teacher(pathlib.Path("results"), *run.teacher))
    config = (directory / "config.gin").read_text()
    commits = {key: commit for key, commit in commits.items() if commit or key == "commit"}
    return {"made_by": made_by, **commits, "config": config, **results}


def _report(table: Table, found: dict[str, Any], record: pathlib.Path) -> None:
    if not found:
        return
    settings = table.settings(found)
    markdown = table.markdown(settings)
    write_json(record, {"runs": found})
    write_text(record.with_suffix(".md"), markdown + "\n")
    if table.figure:
        write_figure(table, settings, record.with_suffix(".png"))
    print(f"\n{markdown}\n\n{record}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
