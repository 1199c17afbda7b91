"""WeChat Pay APIv3 for one merchant: native QR, payment code, reverse, refund, notices."""

from forecourt.channels.wechat.channel import WeChatChannel
from forecourt.channels.wechat.check import CheckResult
from forecourt.channels.wechat.config import InvalidWeChatConfig, WeChatConfig, read_merchant_json

__all__ = ["CheckResult", "InvalidWeChatConfig", "WeChatChannel", "WeChatConfig", "read_merchant_json"]
