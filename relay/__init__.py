"""Who connects to us? The listening side: what a client is told, and when."""
