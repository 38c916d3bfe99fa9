"""The demo."""
def demo() -> int:
    """Show."""
    return 0
