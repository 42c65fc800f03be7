"""A registry as MLflow's model registry: `mlflow.set_registry_uri("gitops:///path/to/repo")`, and existing code runs unchanged.

`store` is the class that MLflow calls; what its answers are like is in `entities`, `finding` and `naming`, what its calls change
in `changing` and `arriving`, where bytes come from and go to in `sources` and `artifacts`, and what it refuses in `refusing`.
MLflow's own SqlAlchemyStore is the measure of all of it; docs/coming-from-mlflow.md lists what is different on purpose.
"""
