"""Puts the repository's sample images into what is built of the plugin."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
INSIDE = Path("napari_emtools", "samples")
ENDINGS = (".tif", ".hspy", ".emd", ".mrc", ".png")


def put_samples(package: Path) -> None:
    """Copy the samples into a package; one that is built of an sdist has them already."""
    # Two folders up lies the repository, or, where an sdist was unpacked, anything at all.
    repository = HERE.parent.parent
    if not (repository / "plugins" / "napari-emtools" / "setup.py").is_file():
        return
    target = package / INSIDE
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((repository / "sample_images").iterdir()):
        if path.suffix in ENDINGS:
            shutil.copy(path, target)


class BuildWithSamples(build_py):
    """Copies the sample images beside the modules; an editable install reads them in place."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            put_samples(Path(self.build_lib))


class SourcesWithSamples(sdist):
    """An sdist is built and installed where there is no repository: it holds the samples itself."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy the sources, then the samples."""
        super().make_release_tree(base_dir, files)
        put_samples(Path(base_dir, "src"))


setup(cmdclass={"build_py": BuildWithSamples, "sdist": SourcesWithSamples})
