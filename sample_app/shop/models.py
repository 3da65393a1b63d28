"""What the shop remembers: customers, products, orders."""

from datetime import UTC, datetime

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.schema import CreateTable
from werkzeug.security import check_password_hash, generate_password_hash

from .errors import OutOfStockError
from .pricing import with_vat


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Customer(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    orders: Mapped[list["Order"]] = relationship(back_populates="customer", order_by="Order.id")

    def check_password(self, password: str) -> bool:
        return check_password_hash(self.password_hash, password)


class Product(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    net: Mapped[int]
    stock: Mapped[int]

    @property
    def price(self) -> int:
        return with_vat(self.net)

    def require(self, quantity: int) -> None:
        if quantity > self.stock:
            raise OutOfStockError(self.name, self.stock)

    def take(self, quantity: int) -> None:
        """Take from the stock, also while another worker does."""
        enough = (Product.id == self.id, Product.stock >= quantity)
        left = db.update(Product).where(*enough).values(stock=Product.stock - quantity)
        if not db.session.execute(left).rowcount:
            raise OutOfStockError(self.name, self.stock)


class Order(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    quantity: Mapped[int]
    total: Mapped[int]
    placed: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    customer: Mapped[Customer] = relationship(back_populates="orders")
    product: Mapped[Product] = relationship()


PRODUCTS = [
    {"id": 1, "name": "Habanero", "net": 1000, "stock": 50},
    {"id": 2, "name": "Cayenne", "net": 450, "stock": 20},
    {"id": 3, "name": "Jalapeño", "net": 325, "stock": 5},
    {"id": 4, "name": "Carolina Reaper", "net": 1999, "stock": 0},
]


def create_and_seed() -> int:
    """Create the tables and rows that are missing; return how many rows that were.

    Every worker of a server does this when it boots, several at the same moment, so each statement says
    what to do if another was faster. No connection stays open: a server may fork after this.
    """
    with db.engine.begin() as connection:
        for table in db.metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
        made = connection.execute(insert(Product).on_conflict_do_nothing(), PRODUCTS).rowcount
        if connection.scalar(db.select(db.func.count()).select_from(Customer)) == 0:
            ada = {"id": 1, "name": "ada", "password_hash": generate_password_hash("lovelace")}
            made += connection.execute(insert(Customer).on_conflict_do_nothing(), ada).rowcount
    db.engine.dispose()
    return made
