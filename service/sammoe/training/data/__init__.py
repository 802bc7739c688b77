"""Where training images come from: label maps, their rendering into scans, and the patient split.

``phantoms`` (torsos), ``brains`` and ``shapes`` make a :class:`~.labelmap.LabelMap`; ``render``
gives a crop of one the look of a CT or an MR scan; ``pseudo`` finds objects in real, unlabelled
scans;
``sources`` keeps a pool of made maps on disk; ``split`` says which patients are never trained on.
"""
