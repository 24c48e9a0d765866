"""Translates text: python -m tf_l2t.translate --student=DIR < in.de > out.en.

A student of text that `moses` tokenised is given raw text like any other: it is taken apart as the
text of its training was, and the translations are put together again.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, TextIO

import tensorflow as tf
from absl import flags

from tf_l2t.data import moses_detokenized, moses_tokenized
from tf_l2t.data.parallel_text import TextForm
from tf_l2t.entry import start
from tf_l2t.runtime.export import TEXT_FORM
from tf_l2t.training.interruption import handle_signals

_STUDENT = flags.DEFINE_string(
    "student", None, "The directory of an exported student, such as runs/NAME/students/student-0."
)
_TOKENIZED = flags.DEFINE_bool(
    "tokenized",
    False,
    "Read and write sentences as a student of tokenised text does, words and marks apart.",
)
_SENTENCES = flags.DEFINE_integer(
    "sentences_at_once",
    64,
    "Lines that are translated together; one where they are typed.",
    lower_bound=1,
)

_READ_AHEAD = 16
"""How many times as many lines are read at once, so that there are some of like length."""

Translate = Callable[[list[str]], list[str]]


def load(directory: pathlib.Path, tokenized: bool = False) -> Translate:
    """Loads an exported student that translates.

    Args:
        directory: of the SavedModel.
        tokenized: whether sentences come and go as a student of tokenised text reads and writes
            them; else they are raw text.

    Returns:
        Sentences -> their translations, as many.

    Raises:
        ValueError: if there is no such student, or `tokenized` and it reads raw text.
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

    form = _form(directory)
    if tokenized and not form.tokenized:
        raise ValueError(f"--tokenized: {directory} is a student of raw text; leave it out.")
    return _of_raw_text(translate, form) if form.tokenized and not tokenized else translate


def _form(directory: pathlib.Path) -> TextForm:
    """Returns how an exported student reads and writes text."""
    try:
        return TextForm(**json.loads((directory / TEXT_FORM).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"--student: {directory / TEXT_FORM}, which says how the student reads and writes "
            f"text, cannot be read ({error}); export it again with tf_l2t.teach."
        ) from error


def _of_raw_text(translate: Translate, form: TextForm) -> Translate:
    """Returns what translates raw text by a student of text that `moses` made."""

    def of_raw_text(sentences: list[str]) -> list[str]:
        apart = moses_tokenized(sentences, form.source_language, form.lowercase)
        return moses_detokenized(translate(apart), form.target_language)

    return of_raw_text


def translate_lines(translate: Translate, lines: Iterable[str], out: TextIO, at_once: int) -> None:
    """Writes a line for each line, in their order; an empty one for an empty one."""
    stripped = (line.rstrip("\r\n") for line in lines)
    ahead = at_once * _READ_AHEAD if at_once > 1 else 1
    while chunk := list(itertools.islice(stripped, ahead)):
        # Sentences of like length together, so that few wait for a long one.
        full = sorted(
            (k for k in range(len(chunk)) if chunk[k].strip()), key=lambda k: len(chunk[k])
        )
        translations: dict[int, str] = {}
        for k in range(0, len(full), at_once):
            together = full[k : k + at_once]
            found = translate([chunk[i] for i in together])
            translations.update(zip(together, found, strict=True))
        # A translation is one line, whatever characters a student has learned to write.
        texts = [" ".join(translations.get(k, "").splitlines()) for k in range(len(chunk))]
        out.writelines(f"{text}\n" for text in texts)
        out.flush()


def decoded(lines: BinaryIO) -> Iterator[str]:
    """Yields lines of UTF-8, without the byte order mark that the first may begin with.

    Raises:
        ValueError: at the first that is not UTF-8.
    """
    for number, raw in enumerate(lines, 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"line {number} of the input is not UTF-8 (byte {error.start} of it is "
                f"{raw[error.start]:02x}); convert it, as with iconv -f latin1 -t utf-8."
            ) from error
        yield line.removeprefix("\ufeff") if number == 1 else line


def main(argv: list[str]) -> int:
    """Translates standard input to standard output and returns the exit code."""
    handle_signals()
    try:
        if len(argv) > 1:
            raise ValueError(f"unexpected arguments {argv[1:]}; see --help.")
        if _STUDENT.value is None:
            raise ValueError(
                "no student; give --student=runs/NAME/students/student-0, for example."
            )
        translate = load(pathlib.Path(_STUDENT.value), _TOKENIZED.value)
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        # Who types a line waits for its translation.
        at_once = 1 if sys.stdin.isatty() else _SENTENCES.value
        translate_lines(translate, decoded(sys.stdin.buffer), sys.stdout, at_once)
    except ValueError as error:
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
    start(main)
