"""Every table of the house, in one place: for migrations and for nothing else."""

from sqlalchemy import MetaData

import forecourt.access.models
import forecourt.charging.models
import forecourt.core.bus.embedded
import forecourt.core.bus.parking
import forecourt.core.idempotency
import forecourt.core.inbox
import forecourt.core.jobs.models
import forecourt.core.outbox
import forecourt.customers.models
import forecourt.deliveries.models
import forecourt.devices.models
import forecourt.ledger.models
import forecourt.operators.models
import forecourt.payments.models
import forecourt.pricing.models
import forecourt.sales.models
import forecourt.sites.models
from forecourt.core.db import Model

assert forecourt  # The imports above fill the metadata.


def metadata() -> MetaData:
    return Model.metadata
