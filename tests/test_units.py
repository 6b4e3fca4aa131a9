"""Units as microscope files spell them."""

import pytest

from emtools.errors import UnitError
from emtools.units import convert, parse_unit


@pytest.mark.parametrize(("spelled", "name", "factor"), [
    ("nm", "nm", 1.0), ("n_m", "nm", 1.0), ("[n_m]", "nm", 1.0), (" nm ", "nm", 1.0),
    ("µm", "nm", 1e3), ("\u03bcm", "nm", 1e3), ("um", "nm", 1e3), ("microns", "nm", 1e3),
    ("micron", "nm", 1e3), (r"\u00B5m", "nm", 1e3), ("µ", "nm", 1e3),
    ("Å", "nm", 0.1), ("\u212b", "nm", 0.1), ("A", "nm", 0.1), ("angstrom", "nm", 0.1),
    (r"\u00C5", "nm", 0.1), ("pm", "nm", 1e-3), ("m", "nm", 1e9), ("mm", "nm", 1e6),
    ("cm", "nm", 1e7), ("nanometer", "nm", 1.0), ("Meters", "nm", 1e9),
    ("1/nm", "1/nm", 1.0), ("1 / nm", "1/nm", 1.0), ("nm^-1", "1/nm", 1.0), ("nm⁻¹", "1/nm", 1.0),
    ("nm-1", "1/nm", 1.0), ("1/(nm)", "1/nm", 1.0), ("nm**-1", "1/nm", 1.0), ("1/n_m", "1/nm", 1.0),
    ("1/Å", "1/nm", 10.0), ("1/A", "1/nm", 10.0), ("1 / µm", "1/nm", 1e-3), ("1/m", "1/nm", 1e-9),
    ("keV", "keV", 1.0), ("eV", "keV", 1e-3), ("kev", "keV", 1.0), ("meV", "keV", 1e-6),
    ("mrad", "mrad", 1.0), ("rad", "mrad", 1e3), ("mR", "mrad", 1.0), ("µrad", "mrad", 1e-3),
    ("s", "s", 1.0), ("ms", "s", 1e-3), ("sec", "s", 1.0),
    ("", "px", 1.0), (None, "px", 1.0), ("px", "px", 1.0), ("pix", "px", 1.0),
    ("<undefined>", "px", 1.0), ("[]", "px", 1.0), ("pixels", "px", 1.0),
])
def test_spellings_of_real_files(spelled, name, factor):
    unit = parse_unit(spelled)
    assert unit.name == name
    assert unit.factor == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("spelled", [
    "Angle", "units1", "points", "K", "MeV", "Mm", "counts", "1/keV", "1/", "nm/s", "5", "nm^2",
    "__import__('os')", "nm" * 500,
])
def test_what_is_no_unit_of_an_axis_is_refused_by_name(spelled):
    with pytest.raises(UnitError) as caught:
        parse_unit(spelled)
    assert repr(spelled) in str(caught.value)


def test_conversion_goes_both_ways():
    assert convert(2.5, "Å", "nm") == pytest.approx(0.25, rel=1e-15)
    assert convert(convert(3.7, "µm", "pm"), "pm", "µm") == pytest.approx(3.7, rel=1e-14)
    with pytest.raises(UnitError, match="same kind"):
        convert(1.0, "nm", "1/nm")
