"""Who waits? Thin pykka shells around the pure rooms."""
