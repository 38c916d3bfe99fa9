"""Who watches? Observations in, Prometheus out."""
