// The part of the gateway's model that the checks ask for, as `cds import` would write it.

@cds.external
@cds.persistence.skip
service Bulkhead {

  @cds.external @cds.persistence.skip
  entity Connections {
    key Name    : String;
        Adapter : String;
        State   : String;
        Points  : Association to many Points on Points.Connection = Name;
  }

  @cds.external @cds.persistence.skip
  entity Points {
    key Id         : Int64;
        Connection : String;
        Name       : String;
        Unit       : String;
  }

  @cds.external @cds.persistence.skip
  entity Readings {
    key Seq          : Int64;
        Connection   : String;
        Point        : String;
        Time         : Timestamp;
        NumericValue : Double;
        IntegerValue : Int64;
  }
}
