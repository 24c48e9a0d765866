"""Tasks: data, student and measure of one problem."""

from tf_l2t.tasks.classification import Classification
from tf_l2t.tasks.task import Task
from tf_l2t.tasks.translation import Translation

__all__ = ["Classification", "Task", "Translation"]
