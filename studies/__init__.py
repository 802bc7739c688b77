"""Where the figures of ``docs/results.md`` come from: data sets, and the commands in order."""
