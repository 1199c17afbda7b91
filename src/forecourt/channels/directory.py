"""Which merchant an operator has at which channel, made from the settings."""

import asyncio
from pathlib import Path
from urllib.parse import quote

from forecourt.channels.wechat import WeChatChannel, WeChatConfig, read_merchant_json
from forecourt.payments.types import Channel, Tender
from forecourt_kit.clock import Clock
from forecourt_kit.disk import Disk
from forecourt_kit.random import Random

KEYS_EVERY_S = 3_600


class Channels:
    """`payments.types.ChannelDirectory` over the merchants of this installation."""

    def __init__(self, public_url: str, merchants: list[tuple[int, WeChatChannel]]) -> None:
        self._public_url = public_url.rstrip("/")
        self._by_operator = {(operator_id, channel.provider): channel for operator_id, channel in merchants}
        self._by_merchant = {
            (channel.provider, channel.merchant): (operator_id, channel) for operator_id, channel in merchants
        }

    def find(self, operator_id: int, provider: Tender) -> Channel | None:
        return self._by_operator.get((operator_id, provider))

    def by_merchant(self, provider: Tender, merchant: str) -> tuple[int, Channel] | None:
        return self._by_merchant.get((provider, merchant))

    def notify_url(self, provider: Tender, merchant: str) -> str:
        return f"{self._public_url}/api/v1/notify/{provider.value}/{quote(merchant, safe='')}"

    async def keep_keys(self) -> None:
        """Fetch the channels' certificates anew every hour, for ever: one that rotates is known in time."""
        while True:
            await asyncio.sleep(KEYS_EVERY_S)
            for channel in self._by_operator.values():
                await channel.refresh_keys()

    async def close(self) -> None:
        for channel in self._by_operator.values():
            await channel.close_connections()


def read_merchant_file(path: Path, disk: Disk) -> WeChatConfig:
    """The merchant file that `forecourt-sim channels --write-keys` writes, or one of a real merchant.

    Raises:
        OSError, InvalidWeChatConfig.
    """
    return read_merchant_json(disk.read(path).decode())


def open_channels(
    public_url: str, merchants: list[tuple[int, WeChatConfig]], clock: Clock, random: Random
) -> Channels:
    """Raises `InvalidWeChatConfig`, which names all that is wrong with a merchant."""
    return Channels(
        public_url, [(operator, WeChatChannel(config, clock, random)) for operator, config in merchants]
    )
