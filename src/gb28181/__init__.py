"""Platform server for GB/T 28181 video networks."""

__version__ = "0.1.0"
