"""Translation datasets of TensorFlow Datasets as parallel text."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import gin

from tf_l2t.data.parallel_text import Pairs, ParallelText
from tf_l2t.data.tfds_source import find, prepare, unavailable

OTHER = "choose another dataset, or give your own files to tf_l2t.data.aligned_files"


@gin.register(module="tf_l2t")
def tfds_text(
    name: str,
    source_language: str = "de",
    target_language: str = "en",
    train: str = "train",
    dev: str = "validation",
    test: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
) -> ParallelText:
    """Reads three splits of a TFDS dataset of translations into memory.

    A dataset that is not prepared in `data_dir` is downloaded and prepared there first.

    Args:
        name: builder of sentences in several languages, such as "ted_hrlr_translate/pt_to_en"; a
            version may follow, as ":1.0.0".
        source_language: name of the feature to translate from.
        target_language: name of the feature to translate into.
        train: split to learn from, or a part of one, as "train[:90%]".
        dev: split to judge by.
        test: split for the report.
        data_dir: folder of prepared datasets; None is that of TFDS, ~/tensorflow_datasets.

    Returns:
        The pairs in the order that TFDS stores them in.

    Raises:
        DatasetUnavailableError: there is no such builder, the dataset is neither prepared nor
            to be downloaded, cannot be read, or has no such splits and languages.

    Example:
        >>> text = tfds_text("ted_hrlr_translate/pt_to_en", source_language="pt")
    """
    where, builder = find(name, data_dir)
    _check_features(where, builder, (source_language, target_language))
    if not builder.info.splits:
        prepare(where, builder)
    return _read(where, builder, (source_language, target_language), (train, dev, test))


@gin.register(module="tf_l2t")
def iwslt14(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> ParallelText:
    """Reads IWSLT-14 German-English: transcribed talks, raw text, the splits that papers use.

    What is not prepared in `data_dir` is prepared there first, in some minutes. Papers then use
    `moses` on it, and byte-pair encoding with 10,000 merges.

    Args:
        data_dir: folder of prepared datasets; None is that of TFDS, ~/tensorflow_datasets.
        manual_dir: folder of de-en.tgz, the archive of the WIT3 release 2014-01; None is
            downloads/manual in `data_dir`. If it is not there, it is downloaded from the copy
            that fairseq's prepare-iwslt14.sh uses, because that of WIT3 no longer answers.

    Returns:
        160,239 pairs to train on, 7,283 as dev and the test "test" of 6,750.

    Raises:
        DatasetUnavailableError: the archive cannot be downloaded or read, or is not that one.

    Example:
        >>> text = moses(iwslt14(manual_dir="~/downloads"))
    """
    from tf_l2t.data.iwslt14_builder import ARCHIVE, URL, Iwslt14DeEn

    where, builder = find(Iwslt14DeEn.name, data_dir)
    if not builder.info.splits:
        folder = pathlib.Path(builder.data_dir_root, "downloads", "manual")
        if manual_dir is not None:
            folder = pathlib.Path(manual_dir).expanduser()
        urls = () if (folder / ARCHIVE).exists() else (URL,)
        remedy = f"get {ARCHIVE} of WIT3 2014-01, and name its folder in manual_dir"
        if urls and manual_dir is not None:
            remedy += f", which is {os.fspath(manual_dir)!r} and has none"
        prepare(where, builder, urls, folder, remedy)
    return _read(where, builder, ("de", "en"), ("train", "validation", "test"))


def _check_features(where: str, builder: Any, languages: tuple[str, str]) -> None:
    """Refuses, before any download, a dataset without these languages."""
    features = builder.info.features
    keys = sorted(features) if hasattr(features, "keys") else []
    missing = [language for language in languages if language not in keys]
    if missing:
        what = f"has no feature {' and no '.join(missing)}, only {keys}"
        raise unavailable(where, what, f"correct the languages, or {OTHER}")


def _read(
    where: str, builder: Any, languages: tuple[str, str], splits: tuple[str, str, str]
) -> ParallelText:
    """Returns the splits for train, dev and test."""
    train, dev, test = (_pairs(where, builder, split, languages) for split in splits)
    try:
        return ParallelText(train, dev, {splits[2]: test}, *languages, name=builder.name)
    except ValueError as error:
        raise unavailable(where, "is not usable", OTHER, error) from error


def _pairs(where: str, builder: Any, split: str, languages: tuple[str, str]) -> Pairs:
    """Returns the pairs of a split, in the stored order."""
    import tensorflow_datasets as tfds

    names = sorted(builder.info.splits)
    if split.partition("[")[0] not in names:
        raise unavailable(where, f"has no split {split}, only {names}", "choose among those")
    try:
        _ = builder.info.splits[split]
    except Exception as error:
        remedy = "write it as in train[:90%] or train[:1000]"
        raise unavailable(where, f"has no part {split}", remedy, error) from error
    try:
        examples = builder.as_dataset(split=split, shuffle_files=False)
        read = [
            tuple(example[language].decode() for language in languages)
            for example in tfds.as_numpy(examples)
        ]
    except Exception as error:
        what = f"has a split {split} that cannot be read"
        remedy = f"delete the folder {builder.data_dir}, so that it is prepared again"
        raise unavailable(where, what, remedy, error) from error
    return Pairs(tuple(source for source, _ in read), tuple(target for _, target in read))
