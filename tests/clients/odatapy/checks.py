"""What the client of odatapy makes of the gateway and of the shop: with the model read from $metadata, so that values have types."""

import datetime
import ssl
from decimal import Decimal

import httpx
from odatapy.client import BasicAuth, BearerAuth, EdmEnabledODataClient, Field, and_
from odatapy.client.transport import HttpxTransport

from report import check, contains, equal, refusal, summary, variable


def client(root, auth=None, **more):
    """A client of a service."""
    trusted = ssl.create_default_context(cafile=variable("BULKHEAD_CERTIFICATE"))
    http = httpx.Client(verify=trusted, trust_env=False)
    return EdmEnabledODataClient(root, HttpxTransport(client=http, auth=auth), **more)


KEY = BearerAuth(variable("BULKHEAD_KEY"))
GATEWAY = client(variable("BULKHEAD_ODATA"), KEY)
SHOP = client(variable("BULKHEAD_SHOP"))
NUMBERS = and_(Field("Connection").eq("source"), Field("Point").eq("n"))


def values(collection, *names):
    """Properties of the entities of a collection."""
    entities = getattr(collection, "entities", collection)
    return [tuple(entity.get_property(name).value for name in names) for entity in entities]


def value(entity, name):
    """A property of an entity."""
    return entity.get_property(name).value


def documents():
    equal(list(GATEWAY.get_service_document().entity_sets)[:4], ["Connections", "Points", "Readings", "LatestReadings"])
    equal(GATEWAY.entity_set_type("Readings").name, "Reading")


def by_key():
    connection = GATEWAY.get_entity(GATEWAY.entity_uri("Connections", "boiler-1"))
    equal(value(connection, "Adapter"), "modbus-registers")
    odd = "Pump's Ø [mm] / 50 %"
    latest = GATEWAY.get_entity(GATEWAY.entity_uri("LatestReadings", {"Connection": "source", "Point": odd}))
    equal((value(latest, "Point"), value(latest, "NumericValue")), (odd, -2.5))


def as_segment():
    # odatapy's own builder quotes a text in a segment of its own, which the standard does not.
    uri = GATEWAY.uri().append_segment("Connections/source/Points")
    names = [name for (name,) in values(GATEWAY.get_entity_set(uri), "Name")]
    equal("n" in names and len(names) == 8, True, str(names))


def exact():
    for asked in (GATEWAY, client(variable("BULKHEAD_ODATA"), KEY, ieee754_compatible=True)):
        found = asked.get_entity_set(asked.entity_set_uri("LatestReadings").filter(Field("Connection").eq("source")))
        of = {value(entity, "Point"): entity for entity in found.entities}
        equal(value(of["count"], "IntegerValue"), 9007199254740993)
        equal(value(of["weight"], "DecimalValue"), Decimal("1234567890123.4568"))
        equal(value(of["label"], "TextValue"), 'it\'s 100 % – Größe & "more"')


def queried():
    uri = GATEWAY.entity_set_uri("Readings")
    uri.filter(and_(NUMBERS, Field("IntegerValue").gt(100), Field("IntegerValue").le(200)))
    uri.orderby("Seq desc").select("Seq", "IntegerValue").top(3).skip(2).count()
    found = GATEWAY.get_entity_set(uri)
    equal(values(found, "IntegerValue"), [(198,), (197,), (196,)])
    equal(found.count, 100)


def functions():
    uri = GATEWAY.entity_set_uri("Points").orderby("Name")
    uri.filter((Field("Name").tolower().startswith("pump's") | Field("Name").contains("flow")) & ~Field("Writable").eq(True))
    equal(values(GATEWAY.get_entity_set(uri), "Name"), [("Pump's Ø [mm] / 50 %",), ("flow temp",)])
    begin = datetime.datetime(2026, 5, 4, 10, 41, 38, 500000, datetime.timezone.utc)
    late = GATEWAY.entity_set_uri("Readings").filter(and_(NUMBERS, Field("Time").gt(begin))).orderby("Time")
    equal(values(GATEWAY.get_entity_set(late), "IntegerValue"), [(2499,), (2500,)])


def counted():
    equal(GATEWAY.get_count(GATEWAY.entity_set_uri("Readings").append_count_segment().filter(NUMBERS)), 2500)


def expanded():
    uri = GATEWAY.entity_set_uri("Connections").filter(Field("Name").eq("source"))
    uri.expand("Points($select=Name;$filter=Unit eq 'pcs')")
    (connection,) = GATEWAY.get_entity_set(uri).entities
    points = connection.get_navigation_link("Points").inline_entity_set
    equal(values(points, "Name"), [("n",)])


def paged():
    uri = GATEWAY.entity_set_uri("Readings").filter(NUMBERS).orderby("Seq")
    pages = list(GATEWAY.iter_pages(uri, max_page_size=700))
    equal([len(page.entities) for page in pages], [700, 700, 700, 400])
    equal([number for page in pages for (number,) in values(page, "IntegerValue")], list(range(1, 2501)))


def grouped():
    uri = GATEWAY.entity_set_uri("Readings")
    uri.apply("filter(Point eq 'n')/groupby((Connection),aggregate(NumericValue with average as Mean,$count as Rows))")
    answer = GATEWAY.get_raw(uri)
    contains(answer.content.decode(), '"Mean":1250.5', '"Rows":2500')


def followed():
    uri = GATEWAY.entity_set_uri("LatestReadings").filter(Field("Connection").eq("source"))
    first = GATEWAY.get_entity_set(uri, track_changes=True)
    equal(first.delta_link is not None, True, "there is a delta link")
    delta = GATEWAY.get_delta(first.delta_link)
    equal(delta.delta_link is not None, True, "and another one")


def operated():
    (setpoint,) = GATEWAY.get_entity_set(GATEWAY.entity_set_uri("Points").filter(Field("Name").eq("setpoint"))).entities
    write = GATEWAY.entity_uri("Points", value(setpoint, "Id")).append_action_call_segment("Bulkhead.Write")
    written = GATEWAY.invoke_action(write, {"Value": "44.5"})
    contains(written.response.content.decode(), '"Value":"44.5"', '"ReadBack":"44.5"')
    contains(refusal(lambda: GATEWAY.invoke_action(write, {"Value": "91"})), "90")
    call = GATEWAY.uri().append_segment("Bucket(Time=2026-05-04T10:07:31Z,Width=duration'PT5M')")
    contains(GATEWAY.invoke_function(call).response.content.decode(), '"value":"2026-05-04T10:05:00Z"')


def batched(form):
    batch = GATEWAY.batch(format=form, continue_on_error=True)
    batch.add_retrieve(GATEWAY.entity_uri("Connections", "source"))
    batch.add_retrieve(GATEWAY.entity_uri("Connections", "nobody"))
    batch.add_retrieve(GATEWAY.entity_set_uri("Readings").filter(NUMBERS).top(1))
    parts = list(GATEWAY.execute_batch(batch))
    equal([part.status_code for part in parts], [200, 404, 200])


def safe():
    viewer = client(variable("BULKHEAD_ODATA_TLS"), BasicAuth(variable("BULKHEAD_USER"), variable("BULKHEAD_PASSWORD")))
    equal(len(viewer.get_entity_set(viewer.entity_set_uri("Connections")).entities), 2)
    nobody = client(variable("BULKHEAD_ODATA"))
    contains(refusal(lambda: nobody.get_entity_set(nobody.entity_set_uri("Connections"))), "say who you are")


def wrong():
    uri = GATEWAY.entity_set_uri("Readings").filter("Valu gt 3")
    contains(refusal(lambda: GATEWAY.get_entity_set(uri)), "did you mean `Value`")


def shop():
    everything = SHOP.get_entity_set(SHOP.entity_set_uri("Products"))
    dear = SHOP.get_entity_set(SHOP.entity_set_uri("Products").filter(Field("Price").gt(100.0)).orderby("Name"))
    expected = sorted(name for name, price in values(everything, "Name", "Price") if price > 100)
    equal([name for (name,) in values(dear, "Name")], expected)
    first = everything.entities[0]
    again = SHOP.get_entity(SHOP.entity_uri("Products", value(first, "ID")))
    equal(value(again, "Name"), value(first, "Name"))
    samples = SHOP.get_entity_set(SHOP.entity_set_uri("DecimalSamples"))
    equal(all(isinstance(amount, Decimal) for (amount,) in values(samples, "Amount")), True)


check("the service document and the model", documents)
check("entities by one key and by two", by_key)
check("keys as segments, a way from an entity", as_segment)
check("long integers and decimals, as numbers and as texts", exact)
check("filter, order, select, top, skip and count together", queried)
check("functions and operators, times in filters", functions)
check("the count of a filter", counted)
check("expand with options inside", expanded)
check("pages of the size asked for, by next links", paged)
check("aggregates by $apply", grouped)
check("delta links", followed)
check("actions and functions", operated)
check("a multipart batch", lambda: batched("multipart"))
check("a JSON batch", lambda: batched("json"))
check("Basic over TLS; without a credential nothing", safe)
check("a filter that is refused says why", wrong)
check("shop: doubles, Guids, decimals", shop)
summary()
