"""A Modbus server by pymodbus, for the tests: its own encoding of values, its own framing, its own refusals.

    modbus_server.py tcp            listens on a free loopback port
    modbus_server.py rtu <port>     serves a serial line at 19200 baud

It prints `ready <port>` when it serves. Unit 1 and unit 2 hold the values below, unit 2 with a level of its own; on a
serial line other units keep silent, as absent ones do. Addresses not named here are refused with exception 2.
"""

import asyncio
import sys

from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

BAUD = 19200


def holding_registers():
    """Every type that pymodbus can encode, and twenty registers to write to."""
    return [
        SimData(100, values=61.5, datatype=DataType.FLOAT32),
        SimData(102, values=-123456, datatype=DataType.INT32),
        SimData(104, values=3000000000, datatype=DataType.UINT32),
        SimData(106, values=-2.25, datatype=DataType.FLOAT64),
        SimData(110, values=-9007199254740993, datatype=DataType.INT64),
        SimData(114, values=9007199254740995, datatype=DataType.UINT64),
        SimData(118, values=-1234, datatype=DataType.INT16),
        SimData(119, values=54321, datatype=DataType.UINT16),
        SimData(120, values="PUMP-7 A", datatype=DataType.STRING),
        SimData(200, count=20, values=0, datatype=DataType.REGISTERS),
    ]


def device(unit, level):
    """One unit with four tables of its own."""
    return SimDevice(
        id=unit,
        simdata=(
            [SimData(0, values=[True, False, True, True] + [False] * 12, datatype=DataType.BITS)],
            [SimData(0, values=[False, True] + [False] * 14, datatype=DataType.BITS)],
            holding_registers(),
            [SimData(0, values=level, datatype=DataType.REGISTERS)],
        ),
    )


def only_units_that_exist(sending, frame):
    """Holds back what pymodbus would answer in the name of a unit that is not there."""
    return b"" if sending and frame[0] not in (1, 2) else frame


async def main():
    """Serves until it is ended."""
    devices = [device(1, 4711), device(2, 4712)]
    if sys.argv[1] == "tcp":
        server = ModbusTcpServer(devices, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        where = server.transport.sockets[0].getsockname()[1]
    else:
        where = sys.argv[2]
        server = ModbusSerialServer(
            devices, framer=FramerType.RTU, port=where, baudrate=BAUD, trace_packet=only_units_that_exist
        )
        await server.serve_forever(background=True)
    print("ready", where, flush=True)
    await server.serving


asyncio.run(main())
