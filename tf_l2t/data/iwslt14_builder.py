"""IWSLT-14 German-English as a dataset of TensorFlow Datasets; importing this registers it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from tf_l2t.data.iwslt14_archive import LANGUAGES, iwslt14_pairs
from tf_l2t.data.parallel_text import Pairs

ARCHIVE = "de-en.tgz"
URL = f"http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/{ARCHIVE}"


class Iwslt14DeEn(tfds.core.GeneratorBasedBuilder):
    """Transcribed talks in German and English, the splits that papers use, as raw text.

    The archive is de-en.tgz of the WIT3 release 2014-01. Its first address,
    wit3.fbk.eu/archive/2014-01/texts/de/en/de-en.tgz, no longer answers; it is downloaded from
    the copy that fairseq's prepare-iwslt14.sh uses, unless it is in the manual folder.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Only without network: put {ARCHIVE} of WIT3 2014-01 here."
    PAIRS: ClassVar[Mapping[str, int]] = {"train": 160_239, "validation": 7_283, "test": 6_750}
    """What the archive must give."""

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.Translation(languages=LANGUAGES),
            supervised_keys=LANGUAGES,
            homepage="https://wit3.fbk.eu/2014-01",
            disable_shuffling=True,  # the order of the files, which every reader can compare
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, Any]]]:
        splits = iwslt14_pairs(_archive(dl_manager), self.PAIRS)
        return {split: self._generate_examples(pairs) for split, pairs in splits.items()}

    def _generate_examples(self, pairs: Pairs) -> Iterator[tuple[int, Any]]:
        for k, sentences in enumerate(zip(*pairs, strict=True)):
            yield k, dict(zip(LANGUAGES, sentences, strict=True))


def _archive(dl_manager: Any) -> str | os.PathLike[str]:
    """Returns the archive in the manual folder, or else a download of it."""
    try:
        manual = pathlib.Path(dl_manager.manual_dir) / ARCHIVE
    except AssertionError:  # what TFDS raises for a folder that is not there
        return dl_manager.download(URL)
    return manual if manual.exists() else dl_manager.download(URL)
