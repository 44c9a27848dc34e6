"""What SQLAlchemy makes of the gateway and of the shop by sqlalchemy-odata: sets are tables, and SQL is run on them."""

import datetime
import warnings
from urllib.parse import quote, urlsplit

from sqlalchemy import create_engine, inspect, text

from report import check, contains, equal, refusal, summary, variable

warnings.simplefilter("ignore")


def engine(url, user=None, password=None):
    """An engine for a service. It speaks HTTP to this machine and HTTPS to any other."""
    parts = urlsplit(url)
    who = f"{quote(user)}:{quote(password)}@" if user else ""
    return create_engine(f"odata://{who}{parts.netloc}{parts.path.rstrip('/')}")


GATEWAY = engine(variable("BULKHEAD_ODATA"), variable("BULKHEAD_USER"), variable("BULKHEAD_PASSWORD"))
SHOP = engine(variable("BULKHEAD_SHOP"))


def rows(sql, on=GATEWAY):
    """The rows of a query."""
    with on.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql)).fetchall()]


def tables():
    names = inspect(GATEWAY).get_table_names()
    for name in ("Connections", "Points", "Readings", "LatestReadings", "boiler_x002D_1"):
        equal(name in names, True, f"{name} in {names}")


def columns():
    found = {column["name"]: str(column["type"]) for column in inspect(GATEWAY).get_columns("Readings")}
    equal(found["Seq"], "BIGINT")
    equal(found["Time"], "DATETIME")
    equal(found["NumericValue"], "FLOAT")


def selected():
    found = rows("SELECT Name, Unit FROM Points WHERE Connection = 'source' AND Unit IS NOT NULL ORDER BY Name")
    equal(found, [("Pump's Ø [mm] / 50 %", "mm"), ("n", "pcs"), ("weight", "kg")])


def quoted():
    equal(rows("SELECT Unit FROM Points WHERE Name = 'Pump''s Ø [mm] / 50 %'"), [("mm",)])


def ordered():
    sql = "SELECT IntegerValue FROM Readings WHERE Point = 'n' AND NumericValue < 100 ORDER BY NumericValue DESC LIMIT 3 OFFSET 1"
    equal(rows(sql), [(98,), (97,), (96,)])


def paged():
    # Shillelagh gives SQLite integers as texts: what is to go by their value says so.
    found = rows("SELECT IntegerValue FROM Readings WHERE Connection = 'source' AND Point = 'n' ORDER BY CAST(Seq AS INTEGER)")
    equal([number for (number,) in found], list(range(1, 2501)))


def aggregated():
    sql = "SELECT count(*), avg(NumericValue), min(NumericValue), max(NumericValue), sum(NumericValue) FROM Readings WHERE Point = 'n'"
    equal(rows(sql), [(2500, 1250.5, 1.0, 2500.0, 3126250.0)])


def grouped():
    sql = "SELECT Connection, count(*) FROM LatestReadings GROUP BY Connection ORDER BY Connection"
    equal(rows(sql), [("boiler-1", 3), ("source", 8)])


def joined():
    sql = """SELECT p.Unit, count(*) FROM Readings r JOIN Points p ON r.PointId = p.Id
             WHERE r.Connection = 'source' AND CAST(r.IntegerValue AS INTEGER) <= 10 GROUP BY p.Unit"""
    equal(rows(sql), [("pcs", 10)])


def in_time():
    # Times are compared as texts of this form.
    sql = "SELECT IntegerValue FROM Readings WHERE Point = 'n' AND Time >= '2026-05-04T10:41:39+00:00' ORDER BY Time"
    equal(rows(sql), [(2499,), (2500,)])


def exact():
    found = rows("SELECT Time, TextValue FROM LatestReadings WHERE Point = 'label'")
    # Python's times have microseconds.
    utc = datetime.timezone.utc
    equal(found, [(datetime.datetime(2026, 5, 4, 9, 0, 0, 123456, utc), 'it\'s 100 % – Größe & "more"')])
    equal(rows("SELECT IntegerValue FROM LatestReadings WHERE Point = 'count'"), [(9007199254740993,)])


def wide():
    (found,) = rows("SELECT flow_x0020_temp, pump FROM boiler_x002D_1 ORDER BY time DESC LIMIT 1")
    equal((found[0], bool(found[1])), (61.5, False))


def stranger():
    nobody = engine(variable("BULKHEAD_ODATA"))
    contains(refusal(lambda: rows("SELECT Name FROM Points", nobody)), "401")


def shop():
    dear = rows("SELECT Name FROM Products WHERE Price > 100 ORDER BY Name", SHOP)
    everything = rows("SELECT Name, Price FROM Products ORDER BY Name", SHOP)
    equal(dear, [(name,) for name, price in everything if price > 100])
    equal(len(dear) > 0, True, "some are dear")


check("sets are tables", tables)
check("properties are columns with their types", columns)
check("WHERE, IS NOT NULL and ORDER BY", selected)
check("quotes and other signs in a text", quoted)
check("LIMIT and OFFSET, backwards", ordered)
check("all pages of a set", paged)
check("aggregates", aggregated)
check("GROUP BY", grouped)
check("a join of two sets", joined)
check("times in WHERE", in_time)
check("times and long integers as exact as Python has them", exact)
check("the set with a column for each point", wide)
check("without a credential there are no tables", stranger)
check("shop: a filter on doubles", shop)
summary()
