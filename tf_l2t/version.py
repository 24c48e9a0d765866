"""The version of tf_l2t."""

__version__ = "0.1.0"
