"""X-rays: lines and their weights, k-factors, what a detector sees of them, absorption."""

from emtools.xrays.detector import SI_KA_KEV, Detector, absorbed_per_nm, escape_fraction
from emtools.xrays.table import (
    MN_KA_KEV,
    STATISTICAL_EV,
    Line,
    atomic_number,
    atomic_weight,
    detector_fwhm_keV,
    elements,
    family,
    line,
    lines,
)
from emtools.xrays.yields import K_ERR, absorption, cross_section, k_factor

__all__ = [
    "K_ERR",
    "MN_KA_KEV",
    "SI_KA_KEV",
    "STATISTICAL_EV",
    "Detector",
    "Line",
    "absorbed_per_nm",
    "absorption",
    "atomic_number",
    "atomic_weight",
    "cross_section",
    "detector_fwhm_keV",
    "elements",
    "escape_fraction",
    "family",
    "k_factor",
    "line",
    "lines",
]
