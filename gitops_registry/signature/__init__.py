"""The input and output schema of a model: infer it from data, say why data does not fit it, and project it to other systems.

Tables and arrays are used through their own methods; neither pandas nor NumPy is imported before there is data to judge.
Types carry MLflow's names (https://mlflow.org/docs/latest/ml/model/signatures/).
"""

from __future__ import annotations

from gitops_registry.signature.fitting import misfits as misfits
from gitops_registry.signature.fitting import ordered as ordered
from gitops_registry.signature.fitting import problems as problems
from gitops_registry.signature.inferring import infer as infer
from gitops_registry.signature.misfit import Misfit as Misfit
from gitops_registry.signature.parameters import parameters_of as parameters_of
