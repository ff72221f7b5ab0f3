"""What can be written in ``routes.yaml`` (spec 6.2); what it means together is :mod:`routes_file`'s."""

from typing import Annotated, Any, Final

from pydantic import Field, GetJsonSchemaHandler, RootModel, ValidatorFunctionWrapHandler, WrapValidator, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from sidegate.config.explain import Written
from sidegate.config.forms import EntryId, Flag, Line, Text, form, refuse
from sidegate.core.model.authority import Authority, Primitive
from sidegate.core.routing.pattern import Pattern, parse_pattern
from sidegate.core.routing.route import METHODS, Encoded, Origin, Reading

MAX_TEMPLATE: Final = 1024


class WrittenSource(Written):
    """Where a part of the target comes from."""

    origin: Origin = Field(alias="from", description="Which part of the request.", examples=["query"])
    name: Line | None = Field(default=None, description="Path parameter, query parameter or header.")
    pointer: Line | None = Field(default=None, description="JSON pointer into the body, e.g. /pattern.")
    pattern: Reading | None = Field(default=None, description="glob: the longest prefix of literal segments counts.")


class _OrTemplate:
    """Allows a template in the place of a source."""

    @staticmethod
    def read(written: object, handler: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401  WrittenSource or str
        if not isinstance(written, str):
            return handler(written)
        if not written or len(written) > MAX_TEMPLATE:
            raise refuse("is empty or too long", f"write text of 1 to {MAX_TEMPLATE} characters")
        return written

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        template = {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_TEMPLATE,
            "description": "Text with {parameters} of the path.",
        }
        return {"anyOf": [template, handler(core)]}


_Part = Annotated[WrittenSource, WrapValidator(_OrTemplate.read), _OrTemplate()]


class WrittenTarget(Written):
    """What a route acts on. Path parameters called org, project, branch and path fill the parts of that name."""

    org: _Part | None = Field(default=None, description="Organization; the principal's without it.")
    project: _Part | None = Field(default=None, description="Project.")
    branch: _Part | None = Field(default=None, description="Branch.")
    path: _Part | None = Field(default=None, description="Path on the branch.")
    section: _Part | None = Field(default=None, description="Section of the organization, e.g. /skills/{rest}.")
    subtree: Flag | None = Field(default=None, description="The operation reaches everything below.")


class WrittenAsk(Written):
    """What is asked for: an authority or a primitive, on a target."""

    authority: Authority | None = Field(default=None, description="Authority asked for.")
    primitive: Primitive | None = Field(default=None, description="DataStore primitive, which brings its authority.")
    target: WrittenTarget = Field(default=WrittenTarget(), description="On what.")


class WrittenRouteBase(WrittenAsk):
    """One route: a method with its path pattern, and what it asks for."""

    id: EntryId | None = Field(default=None, description="What records call it; method and pattern without it.")
    name: Line | None = Field(default=None, description="Title for people.")
    public: Flag = Field(default=False, description="Forwarded without a credential.")
    also: tuple[WrittenAsk, ...] = Field(default=(), alias="and", description="Further targets, same defaults.")
    query: dict[Text, Text] = Field(default={}, description="Query parameters that must have these values.")
    allow_encoded: tuple[Encoded, ...] = Field(
        default=(), description="Characters that a decoded segment may hold, for an upstream known to agree."
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Require exactly one method, and exactly one of authority, primitive and public."""
        schema = handler.resolve_ref_schema(handler(core))
        asked = ({"required": ["authority"]}, {"required": ["primitive"]})
        public = {"required": ["public"], "properties": {"public": {"const": True}}}
        return {
            **schema,
            "allOf": [
                {"oneOf": [{"required": [method.lower()]} for method in METHODS]},
                {"oneOf": [*asked, public]},
            ],
        }


_WrittenPattern = Annotated[
    Pattern, *form(parse_pattern, {"pattern": r"^(?:/|\*$)", "examples": ["/v1/orgs/{org}/files/{path*}"]})
]

_METHOD_FIELDS: dict[str, Any] = {
    f"method_{number}": (
        _WrittenPattern | None,
        Field(default=None, alias=method.lower(), description=f"Path pattern of {method} requests."),
    )
    for number, method in enumerate(METHODS)
}
WrittenRoute = create_model(
    "WrittenRoute", __base__=WrittenRouteBase, __doc__=WrittenRouteBase.__doc__, **_METHOD_FIELDS
)


def methods_of(route: WrittenRouteBase) -> list[tuple[str, Pattern]]:
    """Return the methods that *route* names, upper case, with their patterns."""
    named = ((method, getattr(route, f"method_{number}")) for number, method in enumerate(METHODS))
    return [(method, pattern) for method, pattern in named if pattern is not None]


class WrittenRoutes(RootModel[tuple[WrittenRoute, ...]]):  # type: ignore[valid-type]  # made at run time
    """Routes of a DataStore service: which request asks for what. A request that no route matches is refused."""
