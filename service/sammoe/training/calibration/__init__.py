"""When experts answer: thresholds of a bundle's routing, fitted on held-out patients."""
