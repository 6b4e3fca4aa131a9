"""What of the vendors' metadata becomes the acquisition."""

import pytest

from emtools.model.as_acquired import read_acquisition

DM = "ImageTags"


def acquisition(original, metadata=None):
    return read_acquisition(metadata or {}, original, ())


@pytest.mark.parametrize(("original", "degrees"), [
    ({"Scan": {"ScanRotation": "0.31764991606267756"}}, 18.2),  # Velox, radians
    ({"ImageList": {"TagGroup0": {DM: {"DigiScan": {"Rotation": 45.0}}}}}, 45.0),
    ({"ObjectInfo": {"ExperimentalDescription": {"Stem rotation_deg": -12.5}}}, -12.5),
    ({"blockfile_header": {"Scan_rotation": 2500}}, 25.0),
    ({"Scan": {"ScanRotation": "none"}}, None),
    ({}, None),
])
def test_scan_rotation(original, degrees):
    found = acquisition(original).scan_rotation_deg
    assert found is None if degrees is None else found == pytest.approx(degrees, abs=1e-6)


def test_microscopes_of_the_same_name_are_told_apart():
    said = {"Acquisition_instrument": {"TEM": {"microscope": "Titan", "magnification": 0.0}}}
    found = acquisition({"Instrument": {"InstrumentId": "3580"},
                         "Optics": {"NominalMagnification": "1271519.155"}}, said)
    assert found.instrument == "Titan 3580"
    assert found.magnification == pytest.approx(1271519.155)
    assert acquisition({"Instrument": {"InstrumentId": "3580"}}).instrument is None


def test_the_name_that_digitalmicrograph_keeps():
    tags = {"Session Info": {"Microscope": "FEI Titan"}}
    assert acquisition({"ImageList": {"TagGroup0": {DM: tags}}}).instrument == "FEI Titan"
