from forecourt.core.errors import NotFound, Refusal


class DeliveryNotFound(NotFound):
    """There is no such delivery, or it is not yours to see."""

    code = "deliveries.not_found"


class DeliveryNotHeld(Refusal):
    """Only a held delivery can be released or rejected; someone was faster."""

    code = "deliveries.not_held"


class ReleaseNeedsNozzle(Refusal):
    """A delivery of an unknown nozzle or product cannot be released; reject it."""

    code = "deliveries.release_needs_nozzle"
