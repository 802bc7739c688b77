"""Reading DICOM series: files, folders and zip archives."""
