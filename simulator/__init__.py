"""What if there is no TWS? A simulated one that misbehaves on command."""
