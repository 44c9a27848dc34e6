//! What SAP CAP makes of the gateway as a remote service: queries in its own language become OData requests.

const cds = require('@sap/cds');

const { SELECT } = cds.ql;
let done = 0;

async function check(what, work) {
  done += 1;
  try {
    await work();
    console.log(`ok ${what}`);
  } catch (error) {
    const reason = [error.message, JSON.stringify(error.reason?.response?.body ?? '')].join(' ');
    console.log(`not ok ${what}: ${reason.replace(/\s+/g, ' ').slice(0, 1000)}`);
  }
}

function equal(found, wanted, what = 'value') {
  const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== should) {
    throw new Error(`${what} is ${is}, not ${should}`);
  }
}

async function main() {
  cds.model = await cds.load(['srv/external/Bulkhead.cds']).then(cds.compile.for.nodejs);
  const credentials = {
    url: process.env.BULKHEAD_ODATA,
    headers: { Authorization: `Bearer ${process.env.BULKHEAD_KEY}` }
  };
  const gateway = await cds.connect.to('Bulkhead', { kind: 'odata', credentials });
  const { Points, Readings, Connections } = gateway.entities;
  await check('reads with columns, a condition and an order', async () => {
    const rows = await gateway.run(SELECT.from(Points).columns('Name', 'Unit').where({ Connection: 'source', Unit: { '!=': null } }).orderBy('Name'));
    equal(rows.map(row => row.Name), ["Pump's Ø [mm] / 50 %", 'n', 'weight']);
  });
  await check('reads one by its key', async () => {
    const row = await gateway.run(SELECT.one.from(Connections).where({ Name: 'boiler-1' }));
    equal(row.Adapter, 'modbus-registers');
  });
  await check('limits, with times and numbers in conditions', async () => {
    const query = SELECT.from(Readings).columns('IntegerValue').where({
      Point: 'n', Time: { '>=': '2026-05-04T10:41:00Z' }, NumericValue: { '>': 2490.5 }
    }).orderBy('Seq desc').limit(3, 2);
    equal((await gateway.run(query)).map(row => Number(row.IntegerValue)), [2498, 2497, 2496]);
  });
  await check('expands', async () => {
    const query = SELECT.one.from(Connections).columns(one => { one.Name, one.Points(point => { point.Name, point.Unit }) })
      .where({ Name: 'source' });
    equal((await gateway.run(query)).Points.filter(point => point.Unit === 'pcs').map(point => point.Name), ['n']);
  });
  await check('by a request of its own', async () => {
    const count = await gateway.send({ method: 'GET', path: "/Readings/$count?$filter=Point%20eq%20'n'" });
    equal(Number(count), 2500);
  });
  console.log(`checks ${done}`);
}

main();
