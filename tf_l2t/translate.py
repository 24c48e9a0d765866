"""Translates text: python -m tf_l2t.translate --student=DIR < in.de > out.en."""

from __future__ import annotations

import itertools
import pathlib
import sys
from collections.abc import Callable
from typing import TextIO

import tensorflow as tf
from absl import app, flags

from tf_l2t.checks import whole_number

_STUDENT = flags.DEFINE_string(
    "student", None, "The directory of an exported student, such as runs/NAME/students/student-0."
)
_SENTENCES = flags.DEFINE_integer("sentences_at_once", 64, "Lines that are translated together.")


def load(directory: pathlib.Path) -> Callable[[list[str]], list[str]]:
    """Loads an exported student that translates.

    Args:
        directory: of the SavedModel.

    Returns:
        Sentences -> their translations, as many.

    Raises:
        ValueError: if there is no such student.
    """
    if not (directory / "saved_model.pb").is_file():
        raise ValueError(
            f"--student: {directory} is no exported student (it has no saved_model.pb); give the "
            "directory of one, such as runs/NAME/students/student-0, which tf_l2t.teach writes."
        )
    # It brings the ops that the SavedModel of a student of pieces of words runs.
    import tensorflow_text  # noqa: F401

    try:
        student = tf.saved_model.load(str(directory))
    except Exception as error:  # A broken SavedModel raises whatever its reader stumbles over.
        raise ValueError(
            f"--student: {directory} cannot be loaded ({type(error).__name__}: {error}); export it "
            "again with tf_l2t.teach."
        ) from error
    if not hasattr(student, "translate"):
        raise ValueError(
            f"--student: {directory} does not translate; give a student of a configuration such "
            "as gin/lstm1_multi30k.gin."
        )

    def translate(sentences: list[str]) -> list[str]:
        found = student.translate(tf.constant(sentences))["translations"]
        return [sentence.decode() for sentence in found.numpy()]

    return translate


def translate_lines(
    translate: Callable[[list[str]], list[str]], lines: TextIO, out: TextIO, at_once: int
) -> None:
    """Writes a line for each line, in their order; an empty one for an empty one."""
    stripped = (line.rstrip("\r\n") for line in lines)
    while chunk := list(itertools.islice(stripped, at_once)):
        # Sentences of like length together, so that none waits for a long one.
        full = sorted(
            (k for k in range(len(chunk)) if chunk[k].strip()), key=lambda k: len(chunk[k])
        )
        found = translate([chunk[k] for k in full]) if full else []
        translations = dict(zip(full, found, strict=True))
        # A translation is one line, whatever characters a student has learned to write.
        texts = [" ".join(translations.get(k, "").splitlines()) for k in range(len(chunk))]
        out.writelines(f"{text}\n" for text in texts)
        out.flush()


def main(argv: list[str]) -> int:
    """Translates standard input to standard output and returns the exit code."""
    try:
        if len(argv) > 1:
            raise ValueError(f"unexpected arguments {argv[1:]}; see --help.")
        if _STUDENT.value is None:
            raise ValueError(
                "no student; give --student=runs/NAME/students/student-0, for example."
            )
        whole_number("tf_l2t.translate", "--sentences_at_once", _SENTENCES.value, 1)
        translate = load(pathlib.Path(_STUDENT.value))
        for stream in (sys.stdin, sys.stdout):
            stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        translate_lines(translate, sys.stdin, sys.stdout, _SENTENCES.value)
    except (ValueError, UnicodeDecodeError) as error:
        print(f"tf_l2t.translate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads has seen enough.
        sys.stderr.close()
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
