"""Whatever is wrong with a file: one ReadError with file, reason and advice, or a picture."""

import json
import logging
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from conftest import real_data_folder
from emtools import io
from emtools.errors import ReadError
from emtools.io import registry
from emtools.io.report import Report

FOLDER = real_data_folder()
# One small file of each vendor; cut and overwritten at many places.
REAL = [
    "openncem/16_STOimage.emi", "rosettasciio/tia/old/16x16_STEM_BF_DF_acquire_1.ser",
    "openncem/dmTest_float32_nonSquare_diffPixelSize.dm3", "particlespy/JEOL HAADF Image.dm4",
    "openncem/STEM HAADF Diffraction Micro.emd", "rosettasciio/emd/Si100_3D.emd",
    "rosettasciio/bruker/P45_the_default_job.bcf", "rosettasciio/bruker/extracted_from_bcf.spx",
    "rosettasciio/jeol/Sample/00_View000/View000_0000000.img", "rosettasciio/jeol/rawdata.ASW",
    "rosettasciio/mrc/HAADFscan.mrc", "rosettasciio/blockfile/test1.blo",
    "exspy/coreloss_spectrum.msa", "rosettasciio/phenom/Elid2Version4.elid",
    "rosettasciio/topspin/topspin_test_A.app5", "rosettasciio/hspy/example2_v3.1.hspy",
    "rosettasciio/tiff/olympus_SIS.tif", "rosettasciio/tiff/test_loading_image_saved_with_DM.tif",
    "rosettasciio/tiff/JEOL-SightX-SAED-dummy.tif", "rosettasciio/tiff/TVIPS_bin4.tif",
    "atomsegnet/Si110_5nmX25us_03_none_none.png", "nanoparticle-yolo/images/PtCo.jpg",
]
SHARES = (0.0001, 0.01, 0.1, 0.3, 0.6, 0.9, 0.99, 0.9999)


def read_or_say_why(path):
    """Read a file and its pixels; the only exception that may come out is ReadError."""
    raised = None
    try:
        for image in io.read(path):
            if image.data.size < 5e7:
                image.load()
    except ReadError as error:
        raised = error
    if raised is not None:
        assert raised.subject
        assert raised.reason
        assert "\n" not in str(raised)
        assert pickle.loads(pickle.dumps(raised)).args == raised.args
    return raised


@pytest.mark.real
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", REAL)
def test_truncated_real_files(real_data, tmp_path, name):
    whole = (real_data / name).read_bytes()
    path = (tmp_path / "cut").with_suffix(Path(name).suffix)
    for share in SHARES:
        path.write_bytes(whole[:max(1, int(share * len(whole)))])
        read_or_say_why(path)


@pytest.mark.real
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", REAL)
def test_damaged_real_files(real_data, tmp_path, name):
    whole = (real_data / name).read_bytes()
    path = (tmp_path / "bad").with_suffix(Path(name).suffix)
    rng = np.random.default_rng(7)
    for place in (0, 0, 40, len(whole) // 2):
        damaged = bytearray(whole)
        size = min(64, len(whole) - place)
        damaged[place:place + size] = rng.bytes(size)
        path.write_bytes(damaged)
        read_or_say_why(path)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("extension", [e for e in io.EXTENSIONS if e != "zspy"])
def test_wrong_content(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    for content in (b"hello", b"\0" * 4096, b"\xff" * 4096, bytes(range(256)) * 40,
                    b"\x89PNG\r\n\x1a\n" + b"\0" * 50):
        path.write_bytes(content)
        read_or_say_why(path)


@pytest.mark.parametrize("extension", io.EXTENSIONS)
def test_empty_missing_and_folder(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    with pytest.raises(ReadError, match="no such file"):
        io.read(path)
    if extension != "zspy":
        path.write_bytes(b"")
        with pytest.raises(ReadError, match="is empty"):
            io.read(path)
        folder = tmp_path / f"folder.{extension}"
        folder.mkdir()
        with pytest.raises(ReadError, match="is a folder"):
            io.read(folder)


@pytest.mark.parametrize("name", ["a", "a.docx", "a.exe", ".tif"])
def test_unknown_endings(tmp_path, name):
    (tmp_path / name).write_bytes(b"content")
    with pytest.raises(ReadError, match="known are"):
        io.read(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_no_permission(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4)))
    path.chmod(0)
    with pytest.raises(ReadError, match="may not be read"):
        io.read(path)


def test_permission_error_in_words(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 4)))
    monkeypatch.setattr(np, "load", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "")))
    with pytest.raises(ReadError, match="may not be read"):
        io.read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(ReadError, match="no ordinary file"):
        io.read(tmp_path / "a.tif")


def test_pickled_arrays_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ReadError):
        io.read(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(np.zeros((4, 4))))
    with pytest.raises(ReadError):
        io.read(tmp_path / "b.npy")


@pytest.mark.parametrize("zipped", [False, True])
def test_pickles_in_zarr_are_refused(tmp_path, zipped):
    path = tmp_path / "a.zspy"
    text = json.dumps({"zarr_format": 2, "filters": [{"id": "pickle"}]})
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data/.zarray", text)
    else:
        (path / "data").mkdir(parents=True)
        (path / "data" / ".zarray").write_text(text)
    with pytest.raises(ReadError, match="pickled"):
        io.read(path)


def test_links_out_of_a_zarr_folder_are_refused(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "a.zspy").mkdir()
    (tmp_path / "a.zspy" / "0.0").symlink_to(tmp_path / "secret")
    with pytest.raises(ReadError, match="leads out of the folder"):
        io.read(tmp_path / "a.zspy")


@pytest.mark.parametrize("kind", ["link", "external", "virtual"])
def test_hdf5_that_takes_its_data_from_elsewhere_is_refused(tmp_path, kind):
    folder = tmp_path / "folder"
    folder.mkdir()
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = np.zeros((4, 4))
    with h5py.File(folder / "a.h5", "w") as file:
        if kind == "link":
            file["data"] = h5py.ExternalLink("../other.h5", "/data")
        elif kind == "external":
            file.create_dataset("data", (4, 4), "u1", external=[("../other.h5", 0, 16)])
        else:
            layout = h5py.VirtualLayout((4, 4), "f8")
            layout[:] = h5py.VirtualSource("../other.h5", "data", (4, 4))
            file.create_virtual_dataset("data", layout)
    with pytest.raises(ReadError, match="outside its folder"):
        io.read(folder / "a.h5")


@pytest.mark.real
def test_a_project_that_names_files_elsewhere(real_data, tmp_path, monkeypatch):
    from emtools.io.formats import rosetta

    path = tmp_path / "project" / "a.asw"
    path.parent.mkdir()
    path.write_bytes((real_data / "rosettasciio/jeol/rawdata.ASW").read_bytes())
    (tmp_path / "secret.img").write_bytes(
        (real_data / "rosettasciio/jeol/Sample/00_View000/View000_0000000.img").read_bytes())
    for name in ("..\\secret.img", str(tmp_path / "secret.img"), ".\\..\\secret.img"):
        monkeypatch.setattr(rosetta, "_jeol_parts", lambda _, name=name: [name])
        with pytest.raises(ReadError, match="outside the project"):
            io.read(path)


def test_huge_claims_cost_nothing(tmp_path):
    header = tmp_path / "a.rpl"
    (tmp_path / "a.raw").write_bytes(b"\0" * 100)
    header.write_text("key\tvalue\nwidth\t100000\nheight\t100000\ndepth\t4096\noffset\t0\n"
                      "data-length\t4\ndata-type\tfloat\nbyte-order\tlittle-endian\n"
                      "record-by\tvector\n")
    assert isinstance(read_or_say_why(header), ReadError)
    mrc = np.zeros(256, "<i4")
    mrc[:4] = (100_000, 100_000, 4000, 2)
    mrc[7:10] = mrc[:3]
    (tmp_path / "a.mrc").write_bytes(mrc.tobytes() + b"\0" * 64)
    assert isinstance(read_or_say_why(tmp_path / "a.mrc"), ReadError)
    with (tmp_path / "a.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    assert isinstance(read_or_say_why(tmp_path / "a.npy"), ReadError)


def test_decompression_bomb(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Picture.new("1", (3000, 3000)).save(path)
    monkeypatch.setattr(Picture, "MAX_IMAGE_PIXELS", 1_000_000)
    with pytest.raises(ReadError, match="bomb"):
        io.read(path)


def test_deep_recursion_is_one_error(tmp_path, monkeypatch):
    def load(path, report):
        return load(path, report)

    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 4)))
    monkeypatch.setattr(registry.loaders()["npy"], "load", load)
    with pytest.raises(ReadError, match="damaged"):
        io.read(path)


def test_memory_error_is_one_error(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 4)))
    monkeypatch.setattr(np, "load", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(ReadError, match="memory"):
        io.read(path)


def test_failures_while_the_pixels_are_used_are_read_errors_too(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.arange(10000).reshape(100, 100), compression="zlib")
    image = io.read_one(path)
    path.unlink()
    with pytest.raises(ReadError, match=r"a\.tif"):
        image.load()


def test_one_bad_signal_does_not_lose_the_others(tmp_path, monkeypatch):
    good = {"data": np.ones((4, 4)), "axes": [{}, {}], "reader": "x",
            "metadata": {"General": {"title": "good"}}}
    bad = {**good, "data": np.ones((0, 4)), "metadata": {"General": {"title": "bad"}}}
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 4)))
    monkeypatch.setattr(registry.loaders()["npy"], "load", lambda *_: [bad, good])
    images = io.read(path)
    assert [image.source.signal for image in images] == ["good"]
    assert any("signal bad could not be read" in note for note in images[0].audit)


def test_nothing_spills_on_the_terminal(tmp_path, monkeypatch, capfd):
    def load(path, report):
        import warnings

        logging.getLogger("rsciio.something").error("pixel size is odd")
        warnings.warn("a remark", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return [{"data": np.ones((4, 4)), "axes": [{}, {}], "reader": "x", "metadata": {}}]

    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 4)))
    monkeypatch.setattr(registry.loaders()["npy"], "load", load)
    audit = io.read_one(path).audit
    assert {"pixel size is odd", "a remark"} <= set(audit)
    assert "old" not in audit
    assert capfd.readouterr() == ("", "")


@pytest.mark.real
@pytest.mark.parametrize("name", [
    "openncem/L2083/0.bcf", "rosettasciio/topspin/topspin_test_A.app5",
    "rosettasciio/tiff/FEI-Helios-navcam-with-no-IRBeam-bad-floats.tif",
    "rosettasciio/emd/Test SI 16x16 ReducedData 215 kx.emd", "rosettasciio/hspy/example1_v1.2.hdf5",
])
def test_real_readers_are_silent(real_data, name, capfd):
    for image in io.read(real_data / name):
        image.load()
    assert capfd.readouterr() == ("", "")


def test_reading_in_threads_leaves_the_process_as_it_was(tmp_path):
    import sys
    import warnings
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in range(16):
            writer.write(np.full((64, 64), page), metadata=None, compression="zlib")
    log = logging.getLogger("rsciio")
    before = (sys.stdout, sys.stderr, warnings.showwarning, warnings.filters[:], log.handlers[:],
              log.propagate)
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda _: int(io.read_one(path).load().sum()), range(32)))
    assert set(sums) == {64 * 64 * 120}
    assert before == (sys.stdout, sys.stderr, warnings.showwarning, warnings.filters[:],
                      log.handlers[:], log.propagate)


def test_the_same_sentence_is_said_once():
    report = Report()
    report.say("a")
    report.say("a")
    assert report.problems == ["a"]


def test_folders_are_walked_safely(tmp_path):
    names = ["b.TIF", "a.dm4", ".hidden.tif", "notes.txt", "scan_1.ser", "scan.emi", "other_1.ser",
             "map.rpl", "map.raw", "lonely.raw", "noending"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "c.zspy" / "data").mkdir(parents=True)
    (tmp_path / "c.zspy" / "data" / "x.tif").write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.png").write_bytes(b"x")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "e.png").write_bytes(b"x")
    files, left_out, parts = io.find_files(tmp_path)
    assert {whole.name: [part.name for part in own] for whole, own in parts.items()} == {
        "scan.emi": ["scan_1.ser"], "map.rpl": ["map.raw"]}
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "a.dm4", "b.TIF", "c.zspy", "map.rpl", "other_1.ser", "scan.emi", "sub/d.png"]
    assert {path.name: reason for path, reason in left_out.items()} == {
        "scan_1.ser": "part of scan.emi", "map.raw": "part of map.rpl",
        "notes.txt": "the ending .txt is not one of an image format",
        "lonely.raw": "the ending .raw is not one of an image format",
        "noending": "a file without an ending"}


@pytest.mark.real
def test_a_velox_file_whose_spectra_fail_still_gives_its_images(real_data, monkeypatch):
    from emtools.io.formats import hdf5

    whole = hdf5.read_with

    def spectra_fail(plugin, path, select_type=None, **options):
        if select_type != "images":
            raise KeyError("a new kind of spectrum stream")
        return whole(plugin, path, select_type=select_type, **options)

    monkeypatch.setattr(hdf5, "read_with", spectra_fail)
    images = io.read(real_data / "rosettasciio/emd/Test SI 16x16 215 kx.emd")
    assert "HAADF" in [image.source.signal for image in images]
    said = " ".join(images[0].audit)
    assert "spectrum image" in said
    assert "Velox file, version 11" in said
