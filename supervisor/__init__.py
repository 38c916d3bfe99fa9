"""Who lives? Child specs, strategies, intensity, backoff, the supervisor actor."""
