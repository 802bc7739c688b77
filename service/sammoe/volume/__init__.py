"""Scans and masks in space: files in and out, the model grid, windows, crop and paste back.

Knows nothing of networks, services or users; numpy, scipy and nibabel are all it needs.
"""
