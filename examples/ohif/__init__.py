"""`make ohif`: OHIF with this service and a PACS, on one address."""
