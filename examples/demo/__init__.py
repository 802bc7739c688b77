"""``make demo``: click on a real MR volume through the real service, over HTTP."""
