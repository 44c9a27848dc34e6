"""An OData V4 service on a free loopback port: entity set Measurements in memory, by the library odatapy.

It prints `ready <port>` when it listens, and then a line for each request.
"""

from wsgiref.simple_server import WSGIRequestHandler, make_server

from odatapy.edm.csdl import (
    CsdlAbstractEdmProvider,
    CsdlEntityContainer,
    CsdlEntitySet,
    CsdlEntityType,
    CsdlProperty,
    CsdlPropertyRef,
    CsdlSchema,
)
from odatapy.server import OData
from odatapy.server.adapters import ODataWSGIApp
from odatapy.server.inmemory import InMemoryDataStore, InMemoryProcessor


class Provider(CsdlAbstractEdmProvider):
    def get_schemas(self):
        measurement = CsdlEntityType(
            name="Measurement",
            key=[CsdlPropertyRef(name="Seq")],
            properties=[
                CsdlProperty(name="Seq", type="Edm.Int64", nullable=False),
                CsdlProperty(name="Device", type="Edm.String", max_length=20),
                CsdlProperty(name="Time", type="Edm.DateTimeOffset", precision=3),
                CsdlProperty(name="Value", type="Edm.Decimal", precision=7, scale=4),
                CsdlProperty(name="Good", type="Edm.Boolean"),
                CsdlProperty(name="Unit", type="Edm.String"),
            ],
        )
        sets = [CsdlEntitySet(name="Measurements", type="Plant.Measurement")]
        container = CsdlEntityContainer(name="Container", entity_sets=sets)
        return [CsdlSchema(namespace="Plant", entity_types=[measurement], entity_container=container)]


class Handler(WSGIRequestHandler):
    def log_message(self, format, *args):
        print(format % args, flush=True)


def main():
    odata = OData.new_instance()
    handler = odata.create_handler(odata.create_service_metadata(Provider()))
    store = InMemoryDataStore()
    store.set_entities("Measurements", [])
    handler.register(InMemoryProcessor(store))
    with make_server("127.0.0.1", 0, ODataWSGIApp(handler), handler_class=Handler) as server:
        print(f"ready {server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
