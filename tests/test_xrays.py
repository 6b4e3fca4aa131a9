"""X-ray lines out of eXSpy's table."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emtools import xrays
from emtools.errors import ParameterError


@pytest.mark.parametrize(("element", "name", "energy_kev"), [
    ("S", "Ka", 2.307), ("S", "Kb", 2.464), ("Pb", "Ma", 2.346), ("Pb", "Mb", 2.443),
    ("Pb", "Mg", 2.653), ("Pb", "Mz", 1.84), ("Pb", "La", 10.551), ("Cu", "Ka", 8.048),
    ("In", "La", 3.287), ("C", "Ka", 0.277),
])
def test_energies(element, name, energy_kev):
    assert xrays.line(element, name).energy_keV == pytest.approx(energy_kev, abs=2e-3)


def test_alpha_lines_weigh_one_and_families_are_of_one_shell():
    for element in ("S", "Pb", "Cu", "In"):
        for shell in "KLM":
            family = xrays.family(element, shell)
            assert all(line.shell == shell for line in family)
            if family:
                assert xrays.line(element, f"{shell}a").weight == 1.0


def test_lines_are_sorted_and_cut():
    energies = [line.energy_keV for line in xrays.lines("Pb", 20.0)]
    assert energies == sorted(energies)
    assert energies[-1] < 20


def test_detector_width():
    assert xrays.detector_fwhm_keV(5.8987) == pytest.approx(0.130)
    assert xrays.detector_fwhm_keV(2.3072) == pytest.approx(0.089, abs=1e-3)
    assert xrays.detector_fwhm_keV(0.277, 127.0) < xrays.detector_fwhm_keV(0.277)


def test_numbers_of_atoms():
    assert xrays.atomic_number("Pb") == 82
    assert xrays.atomic_weight("S") == pytest.approx(32.06, abs=0.01)


def test_unknown_elements_and_lines_are_typed_errors():
    with pytest.raises(ParameterError):
        xrays.lines("Xx")
    with pytest.raises(ParameterError, match="Ka, Kb"):
        xrays.line("S", "La")


def test_table_is_exspys_own():
    # What is parsed out of the installed file must be what exspy itself has.
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from emtools.xrays import table as t; import sys\n"
        "table = t._table(); assert 'exspy' not in sys.modules\n"
        "import exspy; its = exspy.material.elements.as_dictionary()\n"
        "assert all(its[symbol] == entry for symbol, entry in table.items())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
