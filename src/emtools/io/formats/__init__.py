"""The loaders: one module = one family of formats, found by its presence in this folder.

A loader module has

``EXTENSIONS``
    the endings it reads, in lower case and without the dot; each belongs to one module only;
``load(path, report)``
    returns one dictionary per signal: ``data`` (lazy where the format allows), ``axes``,
    ``metadata`` and ``original_metadata`` as RosettaSciIO writes them and ``reader``; optionally
    ``acquisition`` (an `Acquisition`) and ``notes`` (sentences for the audit).

Loaders import their libraries inside functions and raise whatever they like: `emtools.io.door`
turns it into one `ReadError`.
"""
