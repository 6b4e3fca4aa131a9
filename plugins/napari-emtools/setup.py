"""Puts the repository's sample images into the package when it is built."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SAMPLES = Path(__file__).resolve().parents[2] / "sample_images"


class BuildWithSamples(build_py):
    """Copies the sample images beside the modules; an editable install reads them in place."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode or not SAMPLES.is_dir():
            return
        target = Path(self.build_lib) / "napari_emtools" / "samples"
        target.mkdir(parents=True, exist_ok=True)
        for path in SAMPLES.iterdir():
            if path.suffix in (".tif", ".hspy", ".emd", ".mrc", ".png"):
                shutil.copy(path, target)


setup(cmdclass={"build_py": BuildWithSamples})
