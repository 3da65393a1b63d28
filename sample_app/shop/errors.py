class OutOfStockError(Exception):
    """More was asked for than there is."""

    def __init__(self, name: str, stock: int) -> None:
        super().__init__(name, stock)
        self.name = name
        self.stock = stock

    def __str__(self) -> str:
        return f"Only {self.stock} of {self.name} left." if self.stock else f"{self.name} is sold out."
