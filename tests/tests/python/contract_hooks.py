"""What schemathesis has to be told of the gateway's API: how to send the media types that it does not know, and what not to do."""

import schemathesis

TEXTS = ["application/toml", "text/csv", "text/tab-separated-values", "application/x-ndjson"]


def _as_bytes(value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return repr(value).encode("utf-8", "surrogatepass")


@schemathesis.serializer("application/toml")
def toml(_ctx, value):
    return _as_bytes(value)


@schemathesis.serializer("text/csv", "text/tab-separated-values", "application/x-ndjson")
def lines(_ctx, value):
    return _as_bytes(value)


@schemathesis.serializer("*/*")
def anything(_ctx, value):
    return _as_bytes(value)


@schemathesis.hook
def filter_case(_context, case):
    if case.media_type in TEXTS and not isinstance(case.body, (str, bytes)):
        # There is no text that is none: what would be sent is a right request.
        return False
    if case.operation.label == "POST /api/v1/config":
        # Whatever runs would be replaced by the example, the credential of this run included.
        return "*" not in str((case.headers or {}).get("If-Match"))
    return True
