"""How the compiled loops are to be optimised by TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2
from tensorflow.python.eager import context

Function = TypeVar("Function", bound=Callable[..., Any])


def without_autograph(function: Function) -> Function:
    """Keeps a caller's `tf.function` from rewriting a function, which warns where it cannot.

    What the engine compiles itself, such as the user's inner loss, is rewritten all the same.
    """
    return tf.autograph.experimental.do_not_convert(function)


@contextlib.contextmanager
def without_memory_optimizer() -> Iterator[None]:
    """Runs compiled functions without Grappler's memory optimizer, with its other passes.

    Where a graph holds more than 205 MB of live tensors, that pass turns sums of gradients into
    temporary variables, which it leaves alive at the end of a `tf.while_loop`: the next run of
    the same loop ends with AlreadyExistsError (tensorflow/tensorflow issues 23780 and 37740).
    `tf.config.optimizer` cannot switch this pass off, and switching all of Grappler off makes a
    step of LeNet a quarter slower.
    """
    eager = context.context()
    before = eager.function_call_options
    config = eager.config
    rewrites = config.graph_options.rewrite_options
    rewrites.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
    eager.function_call_options = context.FunctionCallOptions(
        executor_type=before.executor_type, config_proto=config
    )
    try:
        yield
    finally:
        eager.function_call_options = before
