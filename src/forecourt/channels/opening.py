"""Opening the channels that the settings name, for the operator whose merchant it is."""

from pathlib import Path

from forecourt.channels.directory import Channels, open_channels, read_merchant_file
from forecourt.core.host import Host
from forecourt_kit.ids import from_public
from forecourt_kit.settings import SettingsError


def channels_of(host: Host, only_operator_id: int | None) -> Channels:
    """The channels of this installation. `only_operator_id`: the operator, where there is exactly one.

    A merchant belongs to one operator: the platform does not pool other people's money.

    Raises:
        SettingsError: the merchant file is missing or wrong, or nobody says whose it is.
    """
    settings, ports = host.settings, host.ports
    file = settings.wechat_merchant_file
    if not file:
        return open_channels(settings.public_url, [], ports.clock, ports.random)
    if not settings.wechat_operator and only_operator_id is None:
        raise SettingsError(["FORECOURT_WECHAT_OPERATOR: say whose merchant it is, of several operators"])
    try:
        named = settings.wechat_operator
        operator_id = from_public(named) if named else only_operator_id
        assert operator_id is not None
        config = read_merchant_file(Path(file), ports.disk)
        return open_channels(settings.public_url, [(operator_id, config)], ports.clock, ports.random)
    except (OSError, ValueError) as error:
        raise SettingsError([f"FORECOURT_WECHAT_MERCHANT_FILE {file}: {error}"]) from error
