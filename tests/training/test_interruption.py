import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator

import pytest

from tf_l2t.training import interruption


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    interruption.handle_signals()
    yield
    interruption.requested.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


def module_of(name: str, source: str) -> types.ModuleType:
    module = types.ModuleType(name)
    exec(source, module.__dict__)
    return module


def ours(call: Callable[[], None]) -> list[str]:
    """Returns what code of this package did that a signal comes to in `call`."""
    module = module_of(
        "tf_l2t.some", "def run(call, done):\n  call()\n  done.append('went on')\n  return done\n"
    )
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        module.run(call, done)
    return done


def signalled(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_raises_at_once_outside_tensorflow(number) -> None:
    after = []

    def call() -> None:
        signalled(number)
        after.append(1)

    assert ours(call) == after == []
    assert interruption.requested.is_set()


def test_tensorflow_ends_what_it_does_and_what_it_called_for_it() -> None:
    source = """
def outer(inner, after):
    try:
        inner()
    except BaseException:
        after.append('swallowed')
    after.append('outer ended')
"""
    after: list[str] = []

    def inner() -> None:
        signalled()
        after.append("inner ended")

    module = module_of("tensorflow.python.some", source)
    assert ours(lambda: module.outer(inner, after)) == []
    assert after == ["inner ended", "outer ended"]


def test_code_of_the_package_that_tensorflow_calls_is_interrupted_itself() -> None:
    tensorflow = module_of("tensorflow.python.some", "def trace(function):\n  function()\n")
    package = module_of("tf_l2t.step", "def step(call, after):\n  call()\n  after.append(1)\n")
    kernel = module_of("tensorflow.python.other", "def execute(call):\n  call()\n")
    after: list[int] = []

    def step() -> None:
        package.step(lambda: kernel.execute(signalled), after)

    assert ours(lambda: tensorflow.trace(step)) == []
    assert after == []


def test_the_next_signal_raises_again_and_nothing_is_traced_in_between() -> None:
    module = module_of("tensorflow.python.some", "def execute(call):\n  call()\n")
    for _ in range(3):
        assert ours(lambda: module.execute(signalled)) == []
        assert sys.gettrace() is None


STRESS = """
import random, signal
import keras
from tf_l2t.training import interruption

def build():
    while not interruption.requested.is_set():
        keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    raise KeyboardInterrupt

interruption.handle_signals()
signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGINT))
times = random.Random(0)
for _ in range(500):
    interruption.requested.clear()
    try:
        signal.setitimer(signal.ITIMER_REAL, times.uniform(0.0002, 0.01))
        build()
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_hundreds_of_interruptions_of_layers_that_are_built_do_not_crash() -> None:
    """In a process of its own, since they leave Keras' global state as it may be."""
    done = subprocess.run(
        [sys.executable, "-c", STRESS], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout.count("interrupted")) == (0, 500), done.stderr
