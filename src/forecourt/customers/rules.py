"""What a telephone number and a plate look like."""

import re

PHONE = re.compile(r"1[3-9][0-9]{9}")  # Mainland mobile numbers, without the country code.
PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
PLATE = re.compile(rf"[{PROVINCES}][A-HJ-NP-Z][A-HJ-NP-Z0-9]{{4,5}}[A-HJ-NP-Z0-9挂学警港澳]")


def masked(phone: str) -> str:
    """13812345678 -> 138****5678."""
    return f"{phone[:3]}****{phone[-4:]}"


def plain_plate(text: str) -> str:
    """A plate as it is stored: upper case, without blanks and dots."""
    return re.sub(r"[\s·.-]", "", text).upper()
