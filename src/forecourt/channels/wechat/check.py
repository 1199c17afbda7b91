"""Trying a merchant's credentials without moving money, and saying in plain words what is wrong."""

from dataclasses import dataclass

from forecourt.channels.wechat.client import Reply, WeChatClient

PROBE = "forecourt-check-0000"  # An order that no one places: "no such order" is the good answer.

ADVICE: dict[str, str] = {
    "UNREACHABLE": "Check base_url, this machine's DNS, firewall and proxy.",
    "TIMEOUT": "The address accepts connections and does not answer; check base_url and the firewall.",
    "CONNECTION_LOST": "The connection broke; check base_url (https or http) and what stands between.",
    "NOT_JSON": "Something else than WeChat Pay answers at base_url: a proxy, a portal, a wrong address.",
    "UNSIGNED": "The answer is not signed, so it is not WeChat Pay's; check base_url.",
    "BAD_SIGNATURE": "platform_public_key_pem is not the key that platform_public_key_id names;"
    " download 微信支付公钥 again.",
    "UNKNOWN_SERIAL": "WeChat Pay signs with a key that is not configured: set platform_public_key_id and"
    " platform_public_key_pem, or turn fetch_certificates on.",
    "KEY_EXPIRED": "The platform's certificate is out of its time; check this machine's clock,"
    " then turn fetch_certificates on.",
    "STALE": "This machine's clock is wrong: set it by NTP. WeChat Pay allows 5 minutes.",
    "API_V3_KEY": "api_v3_key does not open WeChat Pay's certificates; set it again in 账户中心 › API安全.",
    "SIGN_ERROR": "merchant_private_key_pem does not belong to merchant_serial, the serial is not of mchid,"
    " or this machine's clock is more than 5 minutes off.",
    "MCH_NOT_EXISTS": "mchid is not a merchant.",
    "NO_AUTH": "The merchant has not been granted this product; open it in 产品中心.",
    "PARAM_ERROR": "mchid does not have the form of a merchant number.",
    "TOO_LARGE": "Something else than WeChat Pay answers at base_url.",
    "UNREADABLE": "The answer is not in WeChat Pay's form; check base_url.",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`code` is stable; `message` is for people and holds no secret."""

    is_ok: bool
    code: str
    message: str


async def check_merchant(client: WeChatClient) -> CheckResult:
    if client.config.fetch_certificates:
        await client.refresh_keys()
    found = await client.ask("GET", f"/v3/pay/transactions/out-trade-no/{PROBE}?mchid={client.config.mchid}")
    if isinstance(found, Reply) and found.code in ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"):
        unproven = "" if client.config.fetch_certificates else " Only a notification will prove api_v3_key."
        return CheckResult(
            is_ok=True,
            code="OK",
            message=f"WeChat Pay knows merchant {client.config.mchid}; both sides sign right.{unproven}",
        )
    code = found.code or f"HTTP_{found.status}" if isinstance(found, Reply) else found.code
    said = found.message
    advice = ADVICE.get(code, "WeChat Pay answered with a code that this check does not know.")
    return CheckResult(is_ok=False, code=code, message=f"{advice} ({code}{': ' + said if said else ''})")
