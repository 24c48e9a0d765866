"""Teachers: networks that map the state of a student to the coefficients of its loss."""

from tf_l2t.teachers.attention import attention_teacher
from tf_l2t.teachers.fixed import fixed_teacher

__all__ = ["attention_teacher", "fixed_teacher"]
