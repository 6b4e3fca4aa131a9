"""Mean of gaps of which some are only known to be small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray


def censored_mean(
    values: NDArray[np.float64], errors: NDArray[np.float64], limits: NDArray[np.float64]
) -> tuple[float, float]:
    """Maximum-likelihood mean of a normal population, some of whose members are upper limits.

    Parameters
    ----------
    values, errors
        Measured values with their 1 sigma; NaN where there is only a limit.
    limits
        Upper limits; used where `values` is NaN.

    Returns
    -------
    tuple of float
        Mean and its 1 sigma; NaN without any measured value.

    References
    ----------
    Cohen, Technometrics 1 (1959) 217: normal samples with censored members.
    """
    known = np.isfinite(values)
    n = int(known.sum())
    if n == 0:
        return float("nan"), float("nan")
    measured, err = values[known], errors[known]
    if known.all():
        return _plain_mean(measured, err)
    below = limits[~known]
    spread = max(float(np.std(measured)), float(np.median(err)), 1e-9)

    def cost(parameters: NDArray[np.float64]) -> float:
        mean, width = parameters[0], np.exp(parameters[1])
        total = np.hypot(width, err)
        seen = 0.5 * ((measured - mean) / total) ** 2 + np.log(total)
        return float(seen.sum() - log_ndtr((below - mean) / width).sum())

    start = np.array([float(measured.mean()), np.log(spread)])
    low = np.log(0.05 * spread)
    found = minimize(cost, start, method="L-BFGS-B", bounds=[(None, None), (low, low + 6.0)])
    mean, width = float(found.x[0]), float(np.exp(found.x[1]))
    return mean, float(np.sqrt((width**2 + np.mean(err**2)) / n))


def _plain_mean(values: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[float, float]:
    n = len(values)
    mean = float(values.mean())
    of_fit = float(np.sqrt(np.sum(errors**2)) / n)
    if n < 2:
        return mean, of_fit
    # The spread holds both the population's and the fit's; the fit's alone is the least it can be.
    return mean, max(of_fit, float(values.std(ddof=1) / np.sqrt(n)))
