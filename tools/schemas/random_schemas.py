"""Random JSON schemas of the keywords that constrained output supports, made with hypothesis: many(n, seed) gives n of them."""
import hypothesis
from hypothesis import strategies as st

NAMES = st.one_of(st.sampled_from(["a", "b", "ab", "abc", "id", "name", "é", "日本", "a b", 'q"q', "back\\slash", "tab\t", "", "😀"]), st.text(max_size=6))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), st.floats(allow_nan=False, allow_infinity=False, width=32), st.text(max_size=8))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=4)
NUMBERS = st.one_of(st.integers(-10**6, 10**6), st.integers(-20, 20), st.floats(-1000, 1000, allow_nan=False), st.floats(-1, 1), st.sampled_from([0, 0.1, 0.3, 1e-5, 99.995, -0.5, 1e15, 2**53]))


@st.composite
def bounds(draw, kind):
    schema = {"type": kind}
    low, high = sorted([draw(NUMBERS), draw(NUMBERS)])
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = high
    return schema


@st.composite
def sizes(draw, least, most, limit):
    schema, low = {}, 0
    if draw(st.booleans()):
        low = schema[least] = draw(st.integers(0, limit))
    if draw(st.booleans()):
        schema[most] = draw(st.integers(low, limit + 2))
    return schema


@st.composite
def strings(draw):
    return {"type": "string", **draw(sizes("minLength", "maxLength", 6))}


LEAVES = st.one_of(
    st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"type": "integer"}, {"type": "number"}, {"type": "string"}, {}, True,
                     {"type": ["string", "null"]}, {"type": ["integer", "boolean", "null"]}, {"type": "object"}, {"type": "array"}, {"minimum": 3}, {"maxLength": 2}]),
    bounds("integer"), bounds("number"), strings(), st.lists(VALUES, min_size=1, max_size=5).map(lambda v: {"enum": v}), VALUES.map(lambda v: {"const": v}),
    st.just({"$ref": "#/$defs/d"}))


@st.composite
def arrays(draw, inner):
    schema = {"type": "array", **draw(sizes("minItems", "maxItems", 4))}
    if draw(st.booleans()):
        schema["items"] = draw(inner)
    if draw(st.booleans()):
        schema["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=3))
        if draw(st.booleans()) and schema.get("minItems", 0) <= len(schema["prefixItems"]):
            schema["items"] = False
    return schema


@st.composite
def objects(draw, inner):
    schema = {"type": "object"}
    properties = draw(st.dictionaries(NAMES, inner, max_size=5))
    if properties or draw(st.booleans()):
        schema["properties"] = properties
    required = [name for name in properties if draw(st.booleans())]
    if draw(st.integers(0, 4)) == 0:
        required.append(draw(NAMES))
    if required:
        schema["required"] = sorted(set(required))
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.one_of(st.booleans(), inner))
    return schema


def disjoint(one):
    """Branches of a oneOf that no text satisfies twice."""
    return {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "null"}, {"type": "string", "maxLength": 3}, {"type": "array", "items": one, "maxItems": 2}]}


def combined(inner):
    return st.one_of(
        arrays(inner), objects(inner), objects(inner), st.lists(inner, min_size=1, max_size=3).map(lambda s: {"anyOf": s}), inner.map(disjoint),
        st.lists(st.one_of(objects(inner), bounds("integer"), strings()), min_size=1, max_size=2).map(lambda s: {"allOf": s}),
        st.tuples(objects(inner), st.lists(objects(inner), min_size=1, max_size=2)).map(lambda s: {**s[0], "anyOf": s[1]}))


@st.composite
def schemas(draw):
    inner = st.recursive(LEAVES, combined, max_leaves=6)
    schema = draw(combined(inner))
    schema["$defs"] = {"d": draw(st.one_of(combined(LEAVES), st.just({"type": "object", "properties": {"v": {"type": "integer"}, "d": {"$ref": "#/$defs/d"}}, "required": ["v"]}),
                                           st.just({"type": "array", "items": {"$ref": "#/$defs/d"}}), st.just({"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#/$defs/d"}}]})))}
    return schema


def many(n, seed):
    found = []

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=n, database=None, deadline=None, phases=[hypothesis.Phase.generate],
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(schemas())
    def collect(schema):
        if len(found) < n:
            found.append(schema)

    collect()
    return found
