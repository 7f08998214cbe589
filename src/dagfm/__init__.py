"""CTR models as accurate as a heavy network and as cheap to serve as a factorization machine."""

__version__ = "0.1.0"
