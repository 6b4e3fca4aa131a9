"""emtools in napari: layers, panels and corrections over the public functions of emtools."""

__version__ = "0.1.0"
