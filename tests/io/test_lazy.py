"""Large files cost nothing until their pixels are used; small ones come through unchanged."""

import json
import pickle
import resource
import subprocess
import sys
import textwrap
import zipfile

import h5py
import numpy as np
import pytest
import zarr

from emtools import io
from emtools.errors import ReadError

SHAPE = (1024, 1024, 1024)  # of uint32: 4 GiB


def write_hspy(path, shape=SHAPE, data=None, title="map"):
    """Write what HyperSpy's own writer does, without ever holding the pixels."""
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "HyperSpy"
        file.attrs["file_format_version"] = "3.3"
        group = file.create_group(f"Experiments/{title}")
        chunks = tuple(min(64, size) for size in shape)
        stored = group.create_dataset("data", shape, "uint32", chunks=chunks)
        if data is not None:
            stored[...] = data
        units = ("µm", "µm", "keV")
        for index, (size, unit) in enumerate(zip(shape, units, strict=True)):
            axis = group.create_group(f"axis-{index}")
            axis.attrs.update({"name": "yxE"[index], "scale": 0.01, "offset": 0.0, "size": size,
                               "units": unit, "navigate": index < 2})
        group.create_group("metadata/Signal").attrs["signal_type"] = "EDS_TEM"
        group.create_group("metadata/General").attrs["title"] = title
        group.create_group("original_metadata")
    return path


def write_rpl(path):
    path.write_text("key\tvalue\nwidth\t1024\nheight\t1024\ndepth\t1024\noffset\t0\n"
                    "data-length\t4\ndata-type\tunsigned\nbyte-order\tlittle-endian\n"
                    "record-by\tvector\n")
    with path.with_suffix(".raw").open("wb") as stream:
        stream.truncate(4 << 30)
    return path


def write_mrc(path):
    head = np.zeros(256, "<i4")
    head[:4] = (2048, 2048, 512, 6)
    head[7:10] = head[:3]
    head.view("<f4")[10:13] = np.array([2048, 2048, 512]) * 2.0
    with path.open("wb") as stream:
        stream.write(head.tobytes())
        stream.truncate(1024 + (4 << 30))
    return path


WRITERS = {"hspy": write_hspy, "rpl": write_rpl, "mrc": write_mrc}


@pytest.mark.parametrize("kind", WRITERS)
def test_four_gigabytes_are_described_without_being_read(tmp_path, kind):
    path = WRITERS[kind](tmp_path / f"big.{kind}")
    # A small file first: what is measured is the work, not the import of the libraries.
    small = write_hspy(tmp_path / "small.hspy", (2, 3, 4))
    plugin = {"hspy": "hspy", "rpl": "ripple", "mrc": "mrc"}[kind]
    program = textwrap.dedent(f"""
        import json, resource, sys, time
        from emtools import io
        [io.describe(image) for image in io.read({str(small)!r})]
        import rsciio.{plugin}
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        (image,) = io.read({str(path)!r})
        io.describe(image)
        print(json.dumps([time.perf_counter() - start, "hyperspy" in sys.modules, image.data.nbytes,
              resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
    """)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                         check=True, timeout=120)
    seconds, hyperspy, size, kilobytes = json.loads(run.stdout)
    assert size >= 4 << 30
    assert not hyperspy
    assert seconds < 1.0
    assert kilobytes < 100_000
    assert run.stderr == ""


def test_only_the_part_that_is_used_is_read(tmp_path):
    image = io.read_one(write_hspy(tmp_path / "big.hspy"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert image.select(energy=5).data[:64, :64].compute().sum() == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_hspy_values_and_axes(tmp_path):
    data = np.arange(4 * 5 * 6, dtype=np.uint32).reshape(4, 5, 6)
    image = io.read_one(write_hspy(tmp_path / "a.hspy", data.shape, data))
    np.testing.assert_array_equal(image.load(), data)
    assert [axis.name for axis in image.axes] == ["y", "x", "energy"]
    assert image.pixel_size("nm") == pytest.approx((10.0, 10.0))
    assert image.acquisition.modality == "EDS"


@pytest.mark.parametrize("zipped", [False, True])
def test_zspy(tmp_path, zipped):
    data = np.arange(12.0).reshape(3, 4)
    path = folder = tmp_path / "a.zspy"
    # HyperSpy needs zarr 2 to write these files; zarr 3 writes the same layout.
    root = zarr.open_group(str(folder), mode="w", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": "3.3"})
    group = root.create_group("Experiments").create_group("picture")
    group.create_array("data", data=data)
    for index, size in enumerate(data.shape):
        group.create_group(f"axis-{index}").attrs.update(
            {"name": "yx"[index], "scale": 0.5, "offset": 0.0, "size": size, "units": "nm",
             "navigate": False, "is_binned": False, "_type": "UniformDataAxis"})
    for name in ("original_metadata", "learning_results", "attributes"):
        group.create_group(name)
    metadata = group.create_group("metadata")
    metadata.create_group("General").attrs["title"] = "picture"
    metadata.create_group("Signal").attrs["signal_type"] = ""
    if zipped:
        path = tmp_path / "zipped.zspy"
        with zipfile.ZipFile(path, "w") as archive:
            for item in sorted(folder.rglob("*")):
                archive.write(item, item.relative_to(folder))
    image = io.read_one(path)
    assert image.lazy
    assert image.pixel_size("nm") == (0.5, 0.5)
    np.testing.assert_array_equal(image.load(), data)
    assert len(image.source.fingerprint()) == 64


def test_sha256_follows_the_content_and_travels_between_processes(tmp_path):
    import hashlib
    import os

    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 4)))
    image = io.read_one(path)
    fingerprint = pickle.loads(pickle.dumps(image.source.fingerprint))
    first = fingerprint()
    assert first == hashlib.sha256(path.read_bytes()).hexdigest()
    assert image.source.describe()["sha256"] == first
    np.save(path, np.ones((4, 4)))
    os.utime(path, ns=(1, 1))
    assert fingerprint() == hashlib.sha256(path.read_bytes()).hexdigest() != first


def test_read_does_not_import_hyperspy(tmp_path):
    path = write_hspy(tmp_path / "a.hspy", (2, 3, 4))
    program = f"import sys; from emtools import io; io.read({str(path)!r}); " \
              "sys.exit(any(m in sys.modules for m in ('hyperspy', 'matplotlib', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_signals_are_found_by_name_in_any_case_and_by_position(tmp_path):
    path = write_hspy(tmp_path / "a.hspy", (2, 3, 4), title="EDS Map")
    for wanted in ("EDS Map", "eds map", 0, "0"):
        assert io.read_one(path, wanted).source.signal == "EDS Map"
    with pytest.raises(ReadError, match=r"no signal 'HAADF'; its signals are 0: EDS Map"):
        io.read_one(path, "HAADF")
