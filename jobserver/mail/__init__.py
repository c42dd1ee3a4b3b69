"""Mail: an outbox in the database, and a thread that sends what is in it."""

from jobserver.mail.messages import check_address, is_address
from jobserver.mail.outbox import Outbox, store, with_sender

__all__ = ["Outbox", "check_address", "is_address", "store", "with_sender"]
