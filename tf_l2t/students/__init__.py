"""Students: the networks that are taught, one architecture a file."""

from tf_l2t.students.lenet import lenet
from tf_l2t.students.logistic_regression import logistic_regression
from tf_l2t.students.mlp import mlp
from tf_l2t.students.pooling import BlockMaxPooling2D
from tf_l2t.students.student import Student

__all__ = ["BlockMaxPooling2D", "Student", "lenet", "logistic_regression", "mlp"]
