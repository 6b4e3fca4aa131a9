"""An instrument calibrated on one image and applied to others."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emtools import batch, io, lattice
from emtools.batch.plan import Recipe
from emtools.errors import CalibrationError, EmtoolsError, ParameterError, ReadError
from emtools.instrument import (
    DEFAULT_REPRODUCIBILITY,
    InstrumentCalibration,
    apply_fitting,
    calibrate,
)
from emtools.io.writing import write_image
from emtools.model import Axis, Image
from emtools.model.calibration import square_departure
from emtools.model.image import Acquisition, plane_image
from emtools.results import Results
from emtools.results import records as records_of
from emtools.simulate import crystal

EMTOOLS = Path(sys.executable).parent / "emtools"
DISTORTION = ((0.955, 0.010), (0.010, 0.970))  # true = DISTORTION @ stated
TITAN = Acquisition(modality="HAADF", beam_energy_keV=200.0, instrument="Titan 1",
                    magnification=5e6, scan_rotation_deg=0.0)


def taken(phase="SrTiO3", zone_axis=(0, 0, 1), distortion=DISTORTION, said=TITAN, **options):
    """An image as a microscope would hand it over: its pixel size and its square are not true."""
    image, _ = crystal(phase, zone_axis, **{"shape": (320, 320), "rotation_deg": 12.0,
                                            "distortion": distortion, **options})
    axes = tuple(replace(axis, source="file") for axis in image.axes)
    return replace(image, axes=axes, acquisition=said)


@pytest.fixture(scope="module")
def image():
    return taken()


@pytest.fixture(scope="module")
def calibration(image):
    return calibrate(image, "SrTiO3")


def test_the_distortion_is_found_within_its_error(calibration):
    # In a simulated image the fit is good to parts in 10^5.
    assert np.allclose(calibration.matrix, DISTORTION, atol=1e-4)
    off = np.subtract(calibration.square, square_departure(DISTORTION))
    assert np.all(np.abs(off) < 4 * np.array([calibration.scale_err, calibration.anisotropy_err,
                                              calibration.shear_err_deg]))
    assert calibration.scale_err < 1e-4
    assert calibration.phase == "SrTiO3"
    assert calibration.reproducibility == DEFAULT_REPRODUCIBILITY
    assert calibration.setting.instrument == "Titan 1"


def test_another_crystal_under_the_same_distortion_is_measured_right(calibration):
    other = calibration.apply(taken("Au", (0, 1, 1), rotation_deg=50.0, rng=3))
    assert {axis.source for axis in other.plane_axes} == {"calibration"}
    result = lattice(other, phases=("Au",))
    rows = result.tables["reflections"]
    assert len(rows) >= 4
    assert not rows["ambiguous"].any()
    off = np.abs(rows["d_spacing_nm"] / rows["d_reference_nm"] - 1)
    assert (off < 1e-3).all()  # the stated scale error, 0.8 %, is for images of another day
    assert result.summary["scale_err_percent"] == pytest.approx(0.8, abs=0.01)
    measured = result.summary["strongest_d_spacing_with_scale"]
    assert measured.err == pytest.approx(0.008 * measured.value, rel=0.05)
    assert "distortion" not in result.summary
    u, v = result.tables["grains"].loc[0, ["uv_angle_deg", "uv_angle_err_deg"]]
    assert min(abs(u - angle) for angle in (70.529, 109.471, 54.736, 90.0)) < 0.1 + 3 * v


def test_a_cubic_lattice_that_is_not_cubic_gives_a_warning(image):
    said = lattice(image, phases=("SrTiO3",)).summary["distortion"]
    assert "cubic" in said
    assert "stretched by 1.5" in said
    assert "along y" in said
    assert "emtools calibrate" in said
    straight = lattice(taken(distortion=np.eye(2)), phases=("SrTiO3",)).summary
    assert "distortion" not in straight


def test_a_lattice_that_need_not_be_square_is_compared_with_its_phase():
    image = taken("TiO2", (1, 0, 0), distortion=((1.0, 0.01), (0.01, 0.985)))
    said = lattice(image, phases=("TiO2",)).summary["distortion"]
    assert "that of TiO2 [1 0 0]" in said
    assert "along x" in said


@pytest.mark.parametrize(("said", "what"), [
    ({"instrument": "Titan 2"}, "microscope"),
    ({"magnification": 4e6}, "magnification"),
    ({"scan_rotation_deg": 18.2}, "scan rotation"),
    ({"beam_energy_keV": 80.0}, "beam energy"),
    ({"modality": "TEM"}, "scanned"),
])
def test_another_setting_is_refused_unless_forced(calibration, image, said, what):
    other = replace(image, acquisition=replace(TITAN, **said),
                    source=replace(image.source, file="other.emd"))
    with pytest.raises(CalibrationError, match=r"other\.emd.*" + what):
        calibration.apply(other)
    forced = calibration.apply(other, force=True)
    assert any("forced" in note and what in note for note in forced.audit)
    # Nobody knows then how good it is.
    assert forced.calibration().scale_err == pytest.approx(0.025)


def test_what_a_file_does_not_state_is_not_compared_and_said(calibration, image):
    bare = calibration.apply(replace(image, acquisition=Acquisition()))
    assert any("not compared" in note and "magnification" in note for note in bare.audit)
    spelled = replace(image, acquisition=replace(TITAN, instrument=" TITAN  1",
                                                 scan_rotation_deg=360.0))
    assert not any("not compared" in note for note in calibration.apply(spelled).audit)


def test_without_a_magnification_the_stated_pixel_size_has_to_be_the_same(calibration, image):
    axes = tuple(replace(axis, pixel_size=0.04) for axis in image.axes)
    binned = replace(image, axes=axes)
    assert calibration.apply(binned).axis("x").pixel_size == pytest.approx(0.04 * 0.970, rel=1e-3)
    with pytest.raises(CalibrationError, match="stated pixel size"):
        calibration.apply(replace(binned, acquisition=replace(TITAN, magnification=None)))
    given = image.calibrated(0.03, "nm")  # by the user, whatever the magnification
    with pytest.raises(CalibrationError, match="stated pixel size"):
        calibration.apply(given)


def test_a_transposed_image_is_calibrated_in_its_own_frame(calibration, image):
    there = calibration.apply(image.transposed())
    back = calibration.apply(image).transposed()
    assert np.allclose(there.calibration().matrix, back.calibration().matrix)
    again = calibrate(image.transposed(), "SrTiO3")
    assert np.allclose(again.matrix, calibration.matrix, atol=1e-5)


def test_a_spectrum_image_of_the_same_scan_is_calibrated_too(calibration):
    axes = (Axis("y", 4, 0.02, "nm", source="file"), Axis("x", 5, 0.02, "nm", source="file"),
            Axis("energy", 6, 0.01, "keV", source="file"))
    spectra = Image(np.zeros((4, 5, 6)), axes, acquisition=replace(TITAN, modality="EDS"))
    found = calibration.apply(spectra)
    assert found.axis("y").pixel_size == pytest.approx(0.02 * 0.955, rel=1e-3)
    assert found.axis("energy") == axes[2]


def test_images_that_cannot_be_corrected_are_refused(calibration, image):
    with pytest.raises(CalibrationError, match="no pixel size"):
        calibration.apply(plane_image(np.zeros((32, 32))), force=True)
    with pytest.raises(CalibrationError, match="1/nm"):
        calibration.apply(plane_image(np.zeros((32, 32))).calibrated(0.1, "1/nm"))
    with pytest.raises(CalibrationError, match="already"):
        calibration.apply(calibration.apply(image))
    with pytest.raises(CalibrationError, match="already"):
        calibrate(calibration.apply(image), "SrTiO3")


@pytest.mark.parametrize(("made", "phase", "why"), [
    (lambda: taken("Au", (0, 1, 1)), "Si", "do not fit Si"),
    (lambda: taken("Au", (0, 1, 1)), "SrTiO3", "fits poorly"),
    (lambda: taken("CeO2", (0, 0, 1)), "CuInS2", "ambiguous"),
    (lambda: taken("SrTiO3", contrast=0.0), "SrTiO3", "no lattice"),
    (lambda: taken(blur_nm=0.4, counts=20.0), "SrTiO3", "usable reflections|no lattice"),
    (lambda: taken("PbS", tilt_deg=(20.0, 0.0), thickness_nm=40.0, rotation_deg=0.0), "PbS",
     "one row"),
    (lambda: plane_image(np.zeros((64, 64))), "PbS", "no pixel size"),
])
def test_a_crystal_that_does_not_serve_is_refused_with_the_reason(made, phase, why):
    image = made()
    with pytest.raises(CalibrationError, match=why) as caught:
        calibrate(replace(image, source=replace(image.source, file="bad.dm4")), phase)
    assert caught.value.subject.startswith("bad.dm4")
    assert caught.value.advice


def test_impossible_numbers_are_refused(image, calibration):
    with pytest.raises(ParameterError):
        calibrate(image, "SrTiO3", reproducibility=-0.1)
    with pytest.raises(CalibrationError):
        replace(calibration, matrix=((1.0, np.nan), (0.0, 1.0)))


def test_the_file_holds_all_of_it(calibration, tmp_path):
    path = tmp_path / "titan.toml"
    odd = replace(calibration, source_file='Bild "1"\\ä\n\x7f.emd', date=None,
                  setting=replace(calibration.setting, instrument=None, scan_rotation_deg=-16.41))
    for one in (calibration, odd):
        one.write(path)
        assert InstrumentCalibration.read(path) == one
    assert "# of the fit" in path.read_text(encoding="utf-8")
    with pytest.raises(ParameterError, match="cannot be written"):
        calibration.write(tmp_path)


def damages(text):
    lines = text.splitlines()
    yield "\x00\xff"
    yield ""
    yield text[: len(text) // 2]
    yield text.replace("format = 1", "format = 2")
    yield text.replace("scale_err = ", "scale_err = nan # ")
    yield text.replace("scale_err = ", "scale_err = -")
    yield text.replace("magnification = 5", "magnification = true # ")
    yield text.replace("[setting]", "[settings]")
    yield text.replace("[plane]", "plane = 3\n[flat]")
    yield text.replace('phase = "SrTiO3"', "phase = 4")
    for number, line in enumerate(lines):
        if line.startswith(("matrix", "pixel_size_y")):
            yield "\n".join([*lines[:number], *lines[number + 1:]])
            yield "\n".join([*lines[:number], line.split("=")[0] + '= ["a"]', *lines[number + 1:]])
    yield text.replace("[crystal]", "[crystal]\nunheard_of = 1")


def test_a_damaged_file_gives_one_error_that_names_it(calibration, tmp_path):
    path = tmp_path / "damaged.toml"
    calibration.write(path)
    for text in list(damages(path.read_text(encoding="utf-8"))):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ReadError, match=r"damaged\.toml"):
            InstrumentCalibration.read(path)
    with pytest.raises(ReadError, match=r"absent\.toml"):
        InstrumentCalibration.read(tmp_path / "absent.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The crystal, another crystal under the same setting, and one of another microscope."""
    folder = tmp_path_factory.mktemp("instrument")
    write_image(taken(), folder / "srtio3.hspy")
    images = folder / "images"
    images.mkdir()
    gold = taken("Au", (0, 1, 1), rotation_deg=50.0, rng=3)
    write_image(gold, images / "gold.hspy")
    write_image(replace(gold, acquisition=replace(TITAN, instrument="Titan 2")),
                           images / "elsewhere.hspy")
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    return subprocess.run([str(EMTOOLS), *map(str, arguments)], capture_output=True, text=True,
                          env=environment, check=False, timeout=300)


def test_command_line_from_crystal_to_measurement(folder):
    done = run("calibrate", folder / "srtio3.hspy", "--phase", "SrTiO3", "-o",
               folder / "titan.toml", "--reproducibility", "0.002")
    assert done.returncode == 0, done.stderr
    assert "scale: true lengths are 0.96" in done.stdout
    assert "stretched by" in done.stdout
    assert "0.2 %" in done.stdout
    images = folder / "images"
    done = run("lattice", images / "gold.hspy", images / "elsewhere.hspy", "--phases", "Au",
               "--calibration", folder / "titan.toml", "--json")
    assert done.returncode == 1
    assert "elsewhere.hspy" in done.stderr
    assert "Titan 2" in done.stderr
    (result,) = map(json.loads, done.stdout.splitlines())
    rows = result["tables"]["reflections"]
    assert max(abs(row["d_spacing_nm"] / row["d_reference_nm"] - 1) for row in rows) < 1e-3
    assert result["summary"]["scale_err_percent"] == pytest.approx(0.2, abs=0.01)
    forced = run("lattice", images / "elsewhere.hspy", "--calibration", folder / "titan.toml",
                 "--force-calibration", "--json")
    assert forced.returncode == 0
    done = run("batch", images, "-o", folder / "results", "--measure", "lattice", "--calibration",
               folder / "titan.toml")
    assert done.returncode == 1
    assert "1 images measured, 0 left out, 1 failed" in done.stdout


def test_command_line_says_what_is_wrong(folder):
    done = run("calibrate", folder / "srtio3.hspy", "--phase", "Au", "-o", folder / "no.toml")
    assert done.returncode == 1
    assert "srtio3.hspy" in done.stderr
    assert not (folder / "no.toml").exists()
    assert run("calibrate", folder / "srtio3.hspy", "--phase", "Unobtainium", "-o",
               folder / "no.toml").returncode == 2
    done = run("lattice", folder / "srtio3.hspy", "--calibration", folder / "srtio3.hspy")
    assert done.returncode == 2
    assert "srtio3.hspy" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_batch_is_calibrated_in_its_workers(folder, calibration, tmp_path):
    recipe = Recipe(("lattice",), {"lattice": {"phases": ("Au",)}}, calibrations=(calibration,))
    outcome = batch.run(folder / "images", tmp_path / "out", recipe, effort=batch.Effort(1))
    assert outcome.measured == 1
    ((name, reason),) = outcome.failed
    assert name.startswith("elsewhere.hspy")
    assert "microscope" in reason
    with Results(tmp_path / "out") as results:
        (gold,) = [one for one in records_of(results) if one["status"] == "measured"]
    assert any("calibrated with SrTiO3" in note for note in gold["audit"])
    assert gold["measurements"][0]["summary"]["scale_err_percent"] == pytest.approx(0.8, abs=0.01)
    forced = replace(recipe, force_calibration=True)
    outcome = batch.run(folder / "images", tmp_path / "forced", forced, batch.Effort(1))
    assert outcome.measured == 2


def crop(image, rows, columns):
    data = image.load()[rows, columns]
    return replace(image, data=data, axes=tuple(replace(axis, size=size) for axis, size in
                                                zip(image.axes, data.shape, strict=True)))


@pytest.mark.real
def test_one_half_of_a_real_image_calibrates_the_other(real_data):
    image = io.read_one(real_data / "openncem/16_STOimage.emi")
    everything, first, second = slice(None), slice(0, 512), slice(512, None)
    halves = [(crop(image, everything, first), crop(image, everything, second))]
    halves += [half[::-1] for half in halves]
    for known, other in halves:
        calibrated = calibrate(known, "SrTiO3").apply(other)
        stated = calibrated.calibration()
        grain = lattice(calibrated, phases=("SrTiO3",)).tables["grains"].iloc[0]
        # Uncalibrated: 4.02 and 4.07 A, 88.9 degrees.
        assert grain.u_nm == pytest.approx(0.3905, abs=2 * 0.3905 * stated.scale_err)
        assert grain.v_nm == pytest.approx(0.3905, abs=2 * 0.3905 * stated.scale_err)
        assert grain.uv_angle_deg == pytest.approx(90.0, abs=2 * stated.shear_err_deg)
        assert stated.scale_err < 0.01


@pytest.mark.real
def test_a_real_calibration_is_refused_by_images_of_other_microscopes(real_data):
    image = io.read_one(real_data / "openncem/16_STOimage.emi")
    calibration = calibrate(image, "SrTiO3")
    assert "distortion" in lattice(image, phases=("SrTiO3",)).summary
    whole = lattice(calibration.apply(image), phases=("SrTiO3",))
    assert "distortion" not in whole.summary
    assert whole.tables["grains"].loc[0, "a_nm"] == pytest.approx(0.3905, abs=2e-4)
    # The .ser beside it states nothing but the pixel size, which is the same.
    alone = calibration.apply(io.read_one(real_data / "openncem/16_STOimage_1.ser"))
    assert any("not compared" in note for note in alone.audit)
    for name in ("rosettasciio/tia/old/03_Scanning Preview.emi", "openncem/Acquisition_18.emd"):
        with pytest.raises(EmtoolsError, match="differently"):
            calibration.apply(io.read(real_data / name)[0])


def test_of_several_calibrations_the_one_that_an_image_was_taken_like_is_applied(calibration):
    setting = calibration.setting
    other = replace(calibration, setting=replace(setting, instrument="Titan 2"),
                    source_file="other.dm4")
    image = taken("Au", pixel_size_nm=0.02)
    for order in ((other, calibration), (calibration, other)):
        done = apply_fitting(order, image)
        assert done.axes == calibration.apply(image).axes
    with pytest.raises(CalibrationError, match="from the images of all 2 calibrations"):
        apply_fitting((other, replace(other, source_file="third.dm4")), image)
    with pytest.raises(CalibrationError, match="fits 2 of 2 calibrations"):
        apply_fitting((calibration, replace(calibration, source_file="twin.dm4")), image)
    with pytest.raises(CalibrationError, match="taken differently"):
        apply_fitting((other,), image)
    assert apply_fitting((other,), image, force=True).axes != image.axes
