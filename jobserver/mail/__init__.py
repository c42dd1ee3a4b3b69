"""Mail: an outbox in the database, and a thread that sends from it."""

from jobserver.mail.messages import is_address, normalize_address
from jobserver.mail.outbox import Outbox, store, with_sender

__all__ = ["Outbox", "is_address", "normalize_address", "store", "with_sender"]
