"""What does the wire say? Framing, handshake, message tables, field access, codes. Pure."""
