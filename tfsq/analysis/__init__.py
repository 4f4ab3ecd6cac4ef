"""The theory as code: mismatch, gradient risk, limits, and the settings that come out."""

from tfsq.analysis.batch_measurement import LatentBatch
from tfsq.analysis.gradient_risk import GradientRisk, gradient_risk, hard_gradient
from tfsq.analysis.limits import Limit, rate_distortion_bound, scalar_quantizer_limit
from tfsq.analysis.losses import Loss, Rate, RateDistortion, SquaredError
from tfsq.analysis.mismatch import Mismatch, RateMismatch, mismatch, rate_mismatch
from tfsq.analysis.recommendation import (
    BoundPoint,
    Recommendation,
    TemperaturePoint,
    advice,
    recommend,
)
from tfsq.analysis.results import Result, markdown, table, to_csv
from tfsq.analysis.sources import Gaussian, Laplace, Logistic, Source

__all__ = [
    "BoundPoint",
    "Gaussian",
    "GradientRisk",
    "Laplace",
    "LatentBatch",
    "Limit",
    "Logistic",
    "Loss",
    "Mismatch",
    "Rate",
    "RateDistortion",
    "RateMismatch",
    "Recommendation",
    "Result",
    "Source",
    "SquaredError",
    "TemperaturePoint",
    "advice",
    "gradient_risk",
    "hard_gradient",
    "markdown",
    "mismatch",
    "rate_distortion_bound",
    "rate_mismatch",
    "recommend",
    "scalar_quantizer_limit",
    "table",
    "to_csv",
]
