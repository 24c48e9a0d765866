"""Students: the networks that are taught, one architecture a file."""

from tf_l2t.students.densenet import densenet
from tf_l2t.students.lenet import lenet
from tf_l2t.students.logistic_regression import logistic_regression
from tf_l2t.students.lstm_translator import lstm_translator
from tf_l2t.students.mlp import mlp
from tf_l2t.students.pooling import BlockMaxPooling2D
from tf_l2t.students.resnet import resnet
from tf_l2t.students.student import Student
from tf_l2t.students.translator import TranslationStudent, Translator
from tf_l2t.students.wide_resnet import wide_resnet

__all__ = [
    "BlockMaxPooling2D",
    "Student",
    "TranslationStudent",
    "Translator",
    "densenet",
    "lenet",
    "logistic_regression",
    "lstm_translator",
    "mlp",
    "resnet",
    "wide_resnet",
]
