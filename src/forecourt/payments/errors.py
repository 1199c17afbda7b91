from http import HTTPStatus

from forecourt.core.errors import NotFound, Refusal


class PaymentNotFound(NotFound):
    """There is no such payment, or it is not yours to see."""

    code = "payments.not_found"


class PaymentEndedAlready(Refusal):
    """The payment has ended; nothing more can be done with it."""

    code = "payments.ended"


class RefundTooLarge(Refusal):
    """More was asked back than is left of the payment."""

    code = "payments.refund_too_large"


class RefundNotFound(NotFound):
    """There is no such refund, or it is not yours to see."""

    code = "payments.refund_not_found"


class ChannelNotConfigured(Refusal):
    """This operator has no merchant at that payment channel."""

    code = "payments.channel_not_configured"


class PayerCodeNeeded(Refusal):
    """A code payment needs the payer's code (18 digits for WeChat)."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "payments.payer_code_needed"


class MemberNeeded(Refusal):
    """A wallet payment needs the member whose wallet it is."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "payments.member_needed"
