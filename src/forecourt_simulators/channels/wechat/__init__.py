"""WeChat Pay APIv3 as a merchant meets it; what is assumed is listed in docs/reference."""

from forecourt_simulators.channels.wechat.keys import MerchantKeys, PlatformKeys, SignsWith, make_keys
from forecourt_simulators.channels.wechat.platform import SimulatorSettings
from forecourt_simulators.channels.wechat.simulator import WeChatPaySimulator

__all__ = [
    "MerchantKeys",
    "PlatformKeys",
    "SignsWith",
    "SimulatorSettings",
    "WeChatPaySimulator",
    "make_keys",
]
