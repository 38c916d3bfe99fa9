"""backstay keeps a TWS API connection standing."""

from backstay._version import __version__

__all__ = ["__version__"]
