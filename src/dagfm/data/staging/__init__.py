"""Out of core from the click log to prepared data: chunks of local codes on disk, then one vocabulary for all."""
