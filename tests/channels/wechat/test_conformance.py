"""WeChat Pay passes what every channel must, in both of its signing modes."""

from collections.abc import Callable

import pytest
from tests.channels.conformance import ChannelConformance
from tests.channels.wechat.conftest import WeChatRig

from forecourt.payments.types import Channel
from forecourt_simulators.channels.wechat import SignsWith


class TestByPublicKey(ChannelConformance):
    @pytest.fixture
    def rig(self, make_rig: Callable[..., WeChatRig]) -> WeChatRig:
        return make_rig(SignsWith.PUBLIC_KEY)

    def test_the_driver_is_a_channel(self, rig: WeChatRig) -> None:
        channel: Channel = rig.channel
        assert channel.merchant == rig.config.mchid


class TestByCertificate(ChannelConformance):
    @pytest.fixture
    async def rig(self, make_rig: Callable[..., WeChatRig]) -> WeChatRig:
        rig = make_rig(SignsWith.CERTIFICATE)
        assert await rig.channel.refresh_keys()  # As a clock job does; faults then strike the verb itself.
        return rig
