"""What a command does when it is told to stop, by Ctrl-C or a scheduler.

A signal handler that raises does so wherever Python code is, also where TensorFlow's C++ code
called it. Some of that does not look for an exception and crashes (a segmentation fault within some
hundred interruptions while layers are built), and some of TensorFlow's Python code takes any
exception for an answer. Ours waits until the code of this package goes on.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

requested = threading.Event()
"""Set by a signal to stop. The KeyboardInterrupt that comes with it can still be lost, where C code
clears all errors; what works in steps looks here."""

_OURS = ("tf_l2t", "__main__")
_TENSORFLOW = ("tensorflow", "tensorflow_text")


def handle_signals() -> None:
    """Makes SIGINT and SIGTERM raise KeyboardInterrupt, from the main thread."""
    requested.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    requested.set()
    in_tensorflow = False
    while frame is not None and not _is_of(frame, _OURS):
        in_tensorflow = in_tensorflow or _is_of(frame, _TENSORFLOW)
        frame = frame.f_back
    if frame is None or not in_tensorflow:
        raise KeyboardInterrupt
    # Tracing of new frames has to be on, or Python does not look at the frame's own.
    sys.settrace(_traces_nothing)
    frame.f_trace = _raise


def _is_of(frame: FrameType, packages: tuple[str, ...]) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in packages


def _traces_nothing(frame: FrameType, event: str, argument: Any) -> None:
    return None


def _raise(frame: FrameType, event: str, argument: Any) -> NoReturn:
    raise KeyboardInterrupt
