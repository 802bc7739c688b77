"""3D Slicer's two modules, unmodified, on its own libraries, against a running service."""
