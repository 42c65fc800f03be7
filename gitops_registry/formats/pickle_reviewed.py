"""The names a pickled model may use without anybody's word, each reviewed, and what it may do with each.

`DATA` are classes and functions that may stand in a model as a value, `INSTANCES` classes whose instances are made
without arguments and filled with named attributes. What may be called stands in `pickle_calls`. Each name is one class
or function; none stands for a package.
"""

from __future__ import annotations

from collections.abc import Iterable

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
"""What joblib writes in place of an array, whose bytes follow it."""
_MOVED = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}


def renamed(module: str, name: str) -> str:
    """Return `module.name` under the module's name of today: Python 2 and NumPy 1 had others."""
    return f"{_MOVED.get(module, module)}.{name}"


def _names(listed: Iterable[str]) -> frozenset[str]:
    """Return the dotted names in lines of a module and its names."""
    found = set()
    for line in listed:
        module, _, names = line.partition(": ")
        found |= {f"{module}.{name}" for name in names.split()}
    return frozenset(found)


# Numbers' and columns' types, search trees and generators that tools below are asked for by class, and functions of
# scikit-learn that compute numbers from the arrays they are given, whatever these are.
DATA = _names([
    "builtins: bool dict float int list object str tuple",
    "numpy: bool bool_ float16 float32 float64 floating int16 int32 int64 int8 integer ndarray number object_ str_",
    "numpy: uint16 uint32 uint64 uint8",
    "numpy.ma: MaskedArray",
    "numpy.ma.core: MaskedArray",
    "numpy.random._mt19937: MT19937",
    "numpy.random._pcg64: PCG64",
    "numpy.random.bit_generator: SeedSequence",
    "sklearn._loss._loss: CyHalfMultinomialLoss",
    "sklearn.feature_selection._mutual_info: mutual_info_classif mutual_info_regression",
    "sklearn.feature_selection._univariate_selection: chi2 f_classif f_regression",
    "sklearn.metrics._classification: accuracy_score balanced_accuracy_score f1_score log_loss precision_score",
    "sklearn.metrics._classification: recall_score",
    "sklearn.metrics._dist_metrics: ChebyshevDistance64 EuclideanDistance64 HaversineDistance64 ManhattanDistance64",
    "sklearn.metrics._dist_metrics: MinkowskiDistance64",
    "sklearn.metrics._ranking: average_precision_score roc_auc_score",
    "sklearn.metrics._regression: mean_absolute_error mean_squared_error r2_score",
    "sklearn.neighbors._ball_tree: BallTree",
    "sklearn.neighbors._kd_tree: KDTree",
])  # fmt: skip

# Attributes only; what they call when they predict is scikit-learn's own or stands in the model under these rules.
# `pickle_states` looks closer at those whose attributes could make them call or open what the file chooses.
INSTANCES = _names([
    "scipy.sparse._csc: csc_array csc_matrix",
    "scipy.sparse._csr: csr_array csr_matrix",
    "sklearn._loss.link: HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit",
    "sklearn._loss.loss: AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss",
    "sklearn._loss.loss: HalfPoissonLoss HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss",
    "sklearn.calibration: CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration",
    "sklearn.cluster._kmeans: KMeans MiniBatchKMeans",
    "sklearn.compose._column_transformer: ColumnTransformer make_column_selector",
    "sklearn.compose._target: TransformedTargetRegressor",
    "sklearn.covariance._elliptic_envelope: EllipticEnvelope",
    "sklearn.covariance._empirical_covariance: EmpiricalCovariance",
    "sklearn.covariance._robust_covariance: MinCovDet",
    "sklearn.covariance._shrunk_covariance: LedoitWolf OAS ShrunkCovariance",
    "sklearn.cross_decomposition._pls: CCA PLSCanonical PLSRegression",
    "sklearn.decomposition._factor_analysis: FactorAnalysis",
    "sklearn.decomposition._fastica: FastICA",
    "sklearn.decomposition._incremental_pca: IncrementalPCA",
    "sklearn.decomposition._kernel_pca: KernelPCA",
    "sklearn.decomposition._lda: LatentDirichletAllocation",
    "sklearn.decomposition._nmf: MiniBatchNMF NMF",
    "sklearn.decomposition._pca: PCA",
    "sklearn.decomposition._truncated_svd: TruncatedSVD",
    "sklearn.discriminant_analysis: LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
    "sklearn.dummy: DummyClassifier DummyRegressor",
    "sklearn.ensemble._bagging: BaggingClassifier BaggingRegressor",
    "sklearn.ensemble._forest: ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier RandomForestRegressor",
    "sklearn.ensemble._forest: RandomTreesEmbedding",
    "sklearn.ensemble._gb: GradientBoostingClassifier GradientBoostingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.binning: _BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting: HistGradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting: HistGradientBoostingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.predictor: TreePredictor",
    "sklearn.ensemble._iforest: IsolationForest",
    "sklearn.ensemble._stacking: StackingClassifier StackingRegressor",
    "sklearn.ensemble._voting: VotingClassifier VotingRegressor",
    "sklearn.ensemble._weight_boosting: AdaBoostClassifier AdaBoostRegressor",
    "sklearn.feature_extraction._dict_vectorizer: DictVectorizer",
    "sklearn.feature_extraction.text: CountVectorizer HashingVectorizer TfidfTransformer TfidfVectorizer",
    "sklearn.feature_selection._from_model: SelectFromModel",
    "sklearn.feature_selection._rfe: RFE RFECV",
    "sklearn.feature_selection._sequential: SequentialFeatureSelector",
    "sklearn.feature_selection._univariate_selection: GenericUnivariateSelect SelectFdr SelectFpr SelectFwe SelectKBest",
    "sklearn.feature_selection._univariate_selection: SelectPercentile",
    "sklearn.feature_selection._variance_threshold: VarianceThreshold",
    "sklearn.frozen._frozen: FrozenEstimator",
    "sklearn.gaussian_process._gpc: GaussianProcessClassifier _BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process._gpr: GaussianProcessRegressor",
    "sklearn.gaussian_process.kernels: ConstantKernel DotProduct ExpSineSquared Matern Product RBF RationalQuadratic",
    "sklearn.gaussian_process.kernels: Sum WhiteKernel",
    "sklearn.impute._base: MissingIndicator SimpleImputer",
    "sklearn.impute._knn: KNNImputer",
    "sklearn.isotonic: IsotonicRegression",
    "sklearn.kernel_approximation: AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler SkewedChi2Sampler",
    "sklearn.kernel_ridge: KernelRidge",
    "sklearn.linear_model._base: LinearRegression",
    "sklearn.linear_model._bayes: ARDRegression BayesianRidge",
    "sklearn.linear_model._coordinate_descent: ElasticNet ElasticNetCV Lasso LassoCV MultiTaskElasticNet",
    "sklearn.linear_model._coordinate_descent: MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV",
    "sklearn.linear_model._glm.glm: GammaRegressor PoissonRegressor TweedieRegressor",
    "sklearn.linear_model._huber: HuberRegressor",
    "sklearn.linear_model._least_angle: Lars LarsCV LassoLars LassoLarsCV LassoLarsIC",
    "sklearn.linear_model._logistic: LogisticRegression LogisticRegressionCV",
    "sklearn.linear_model._omp: OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV",
    "sklearn.linear_model._passive_aggressive: PassiveAggressiveClassifier PassiveAggressiveRegressor",
    "sklearn.linear_model._perceptron: Perceptron",
    "sklearn.linear_model._quantile: QuantileRegressor",
    "sklearn.linear_model._ransac: RANSACRegressor",
    "sklearn.linear_model._ridge: Ridge RidgeCV RidgeClassifier RidgeClassifierCV",
    "sklearn.linear_model._stochastic_gradient: SGDClassifier SGDOneClassSVM SGDRegressor",
    "sklearn.linear_model._theil_sen: TheilSenRegressor",
    "sklearn.metrics._scorer: _PassthroughScorer _Scorer",
    "sklearn.mixture._bayesian_mixture: BayesianGaussianMixture",
    "sklearn.mixture._gaussian_mixture: GaussianMixture",
    "sklearn.model_selection._classification_threshold: FixedThresholdClassifier",
    "sklearn.model_selection._search: GridSearchCV RandomizedSearchCV",
    "sklearn.model_selection._split: KFold StratifiedKFold",
    "sklearn.multiclass: _ConstantPredictor OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier",
    "sklearn.multioutput: ClassifierChain MultiOutputClassifier MultiOutputRegressor RegressorChain",
    "sklearn.naive_bayes: BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
    "sklearn.neighbors._classification: KNeighborsClassifier RadiusNeighborsClassifier",
    "sklearn.neighbors._kde: KernelDensity",
    "sklearn.neighbors._lof: LocalOutlierFactor",
    "sklearn.neighbors._nca: NeighborhoodComponentsAnalysis",
    "sklearn.neighbors._nearest_centroid: NearestCentroid",
    "sklearn.neighbors._regression: KNeighborsRegressor RadiusNeighborsRegressor",
    "sklearn.neighbors._unsupervised: NearestNeighbors",
    "sklearn.neural_network._multilayer_perceptron: MLPClassifier MLPRegressor",
    "sklearn.neural_network._rbm: BernoulliRBM",
    "sklearn.neural_network._stochastic_optimizers: AdamOptimizer SGDOptimizer",
    "sklearn.pipeline: FeatureUnion Pipeline",
    "sklearn.preprocessing._data: Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer",
    "sklearn.preprocessing._data: QuantileTransformer RobustScaler StandardScaler",
    "sklearn.preprocessing._discretization: KBinsDiscretizer",
    "sklearn.preprocessing._encoders: OneHotEncoder OrdinalEncoder",
    "sklearn.preprocessing._function_transformer: FunctionTransformer",
    "sklearn.preprocessing._label: LabelBinarizer LabelEncoder MultiLabelBinarizer",
    "sklearn.preprocessing._polynomial: PolynomialFeatures",
    "sklearn.preprocessing._target_encoder: TargetEncoder",
    "sklearn.random_projection: GaussianRandomProjection SparseRandomProjection",
    "sklearn.semi_supervised._label_propagation: LabelPropagation LabelSpreading",
    "sklearn.semi_supervised._self_training: SelfTrainingClassifier",
    "sklearn.svm._classes: LinearSVC LinearSVR NuSVC NuSVR OneClassSVM SVC SVR",
    "sklearn.tree._classes: DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
    "sklearn.utils._bunch: Bunch",
])  # fmt: skip

MAPPINGS = frozenset({"sklearn.utils._bunch.Bunch"})
"""Those instances that are dicts."""
SPARSE = frozenset(name for name in INSTANCES if name.startswith("scipy.sparse."))
DISTANCES = frozenset(name for name in DATA if name.startswith("sklearn.metrics._dist_metrics."))
