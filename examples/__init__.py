"""Programs that use the service as anybody would."""
