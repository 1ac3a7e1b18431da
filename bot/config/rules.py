"""What a key of the configuration must hold, in words of the file: the rule, and an example to copy.

A rule comes from the kind of error and from the field itself: its bounds, its `description` (what it must
be), its `examples` and its default. No value that was given is ever told.
"""

import types
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

OTHER_KINDS: Mapping[str, str] = {
    "model_type": "must be a table, written under [its name]",
    "dict_type": "must be a table, written under [its name]",
    "tuple_type": 'must be a list, such as ["a", "b"], or tables, each under [[its name]]',
}


def field_at(model: type[BaseModel], steps: Sequence[int | str]) -> FieldInfo | None:
    """The field at the end of a path through tables, lists and mappings; None where there is none."""
    annotation: Any = model
    field: FieldInfo | None = None
    for step in steps:
        annotation = _bare(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(step))
            if field is None:
                return None
            annotation = field.annotation
            continue
        inside = get_args(annotation)
        if not inside:
            return field
        annotation = inside[0] if isinstance(step, int) else inside[-1]
        field = FieldInfo.from_annotation(annotation)
    return field


def _bare(annotation: Any) -> Any:
    """Without what is noted beside a type, and without the choice of leaving it out."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation


def rule(problem: ErrorDetails, field: FieldInfo | None) -> str:
    """The rule that a value breaks, with an example where the field or its kind has one."""
    kind = problem["type"]
    if kind in OTHER_KINDS:
        return OTHER_KINDS[kind]
    if kind == "value_error":
        return problem["msg"].removeprefix("Value error, ")
    told = _must(kind, problem.get("ctx", {}), field)
    # A rule that lists all there is needs no example.
    listed = kind in ("literal_error", "enum") or kind.startswith("bool")
    example = "" if listed else example_of(field)
    return f"must be {told}, such as {example}" if example else f"must be {told}"


def _must(kind: str, context: Mapping[str, Any], field: FieldInfo | None) -> str:
    if field is not None and field.description:
        return field.description
    if kind.startswith(("int", "float", "greater", "less")):
        return f"a whole number{_bounds(field)}"
    if kind.startswith("bool"):
        return "true or false"
    if kind in ("literal_error", "enum"):
        return str(context["expected"]).replace("'", '"')
    if kind in ("string_too_short", "too_short"):
        return "given, not empty"
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters"
    return "text in quotes"


def _bounds(field: FieldInfo | None) -> str:
    bounds = field.metadata if field is not None else []
    least = next((one.ge for one in bounds if isinstance(one, Ge)), None)
    most = next((one.le for one in bounds if isinstance(one, Le)), None)
    if most is not None:
        return f" from {least} to {most}"
    return "" if least is None else f" of at least {least}"


def example_of(field: FieldInfo | None) -> str:
    """What may stand there, as TOML writes it; empty where nothing can be said."""
    if field is None:
        return ""
    if field.examples:
        return _written(field.examples[0])
    default = field.get_default(call_default_factory=False)
    if isinstance(default, Enum):
        default = default.value
    if isinstance(default, SecretStr | timedelta | BaseModel):
        return ""  # One has no place in a message; the others are told by their own rules.
    return _written(default) if isinstance(default, bool | int | str | tuple) and default != "" else ""


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]" if value else ""
    return f'"{value}"' if isinstance(value, str) else str(value)
