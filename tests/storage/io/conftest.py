from tests.storage.io.disk import disk

__all__ = ["disk"]
