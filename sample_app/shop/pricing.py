"""What things cost. Amounts are whole cents."""

VAT_PERCENT = 21


def vat(net: int) -> int:
    return (net * VAT_PERCENT + 50) // 100


def with_vat(net: int) -> int:
    return net + vat(net)


def format_price(cents: int) -> str:
    return f"€{cents // 100}.{cents % 100:02}"
