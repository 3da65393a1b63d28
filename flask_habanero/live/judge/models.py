"""What is known of classes that a library builds from their bodies, keeping what it builds in them alone."""

from __future__ import annotations

_METACLASSES = frozenset(
    [
        ("pydantic._internal._model_construction", "ModelMetaclass"),
        ("pydantic.main", "ModelMetaclass"),  # of its first version
    ]
)
# of the class's own, or of a base, called while a class is made; what else is called gives a schema back
CALLED = frozenset(["__init_subclass__", "__pydantic_init_subclass__", "__set_name__"])


# in a model's configuration: functions that are called while the class is made
GENERATORS = ("alias_generator", "field_title_generator", "model_title_generator", "schema_generator")


def is_pydantics(meta: object) -> bool:
    """Whether a metaclass is that of pydantic's models, and not one that derives from it."""
    return isinstance(meta, type) and (meta.__module__, meta.__qualname__) in _METACLASSES


def is_of_pydantic(cls: type) -> bool:
    """Whether a class is Python's or pydantic's own: it acts on no class but the one that is made."""
    return cls.__module__.partition(".")[0] in ("builtins", "abc", "typing", "pydantic")
