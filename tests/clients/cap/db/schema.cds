// What the gateway writes to: readings by their number, and gauges that hold the last value, guarded by an ETag.
namespace plant;

entity Readings {
  key Seq        : Int64;
      Connection : String(100);
      Point      : String(255);
      Time       : Timestamp;
      Value      : Int64;
}

entity Gauges {
  key Name       : String(255);
      Value      : Int64;
      @odata.etag
      modifiedAt : Timestamp @cds.on.insert: $now @cds.on.update: $now;
}
