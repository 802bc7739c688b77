"""SAM-Med3D-MoE: click on a structure in a CT or MR scan, get its 3D mask."""

__version__ = "0.1.0"
