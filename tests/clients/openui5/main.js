//! What SAPUI5's ODataModel V4 makes of the gateway and of the shop. It runs in the page.

sap.ui.define([
  'sap/ui/model/odata/v4/ODataModel',
  'sap/ui/model/Filter',
  'sap/ui/model/FilterOperator',
  'sap/ui/model/Sorter'
], (ODataModel, Filter, FilterOperator, Sorter) => {
  'use strict';

  let done = 0;

  const report = line => fetch('/report', { method: 'POST', body: line });

  async function check(what, work) {
    done += 1;
    try {
      await work();
      await report(`ok ${what}`);
    } catch (error) {
      await report(`not ok ${what}: ${String(error?.message ?? error).replace(/\s+/g, ' ').slice(0, 1000)}`);
    }
  }

  function equal(found, wanted, what = 'value') {
    const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
    if (is !== should) {
      throw new Error(`${what} is ${is}, not ${should}`);
    }
  }

  async function refusal(work) {
    try {
      await work();
    } catch (error) {
      return error;
    }
    throw new Error('it was not refused');
  }

  const model = (serviceUrl, more = {}) =>
    new ODataModel({ serviceUrl, operationMode: 'Server', autoExpandSelect: true, earlyRequests: true, ...more });
  const gateway = model('/gateway/');
  const newer = model('/gateway/', { odataVersion: '4.01' });
  const direct = model('/gateway/', { groupId: '$direct' });
  const shop = model('/shop/');

  const ofNumbers = () => [new Filter('Connection', FilterOperator.EQ, 'source'), new Filter('Point', FilterOperator.EQ, 'n')];
  const numbers = (of, more = {}) =>
    of.bindList('/Readings', undefined, [new Sorter('Seq')], ofNumbers(), { $count: true, $select: 'Seq,IntegerValue,Time', ...more });
  const objects = async (list, start, length) => (await list.requestContexts(start, length)).map(context => context.getObject());

  async function reads() {
    await check('the metadata model reads sets, types, annotations and ways', async () => {
      const meta = gateway.getMetaModel();
      equal(await meta.requestObject('/Readings/$Type'), 'Bulkhead.Reading');
      equal(await meta.requestObject('/Readings/Time/$Type'), 'Edm.DateTimeOffset');
      equal(await meta.requestObject('/Readings/PointInfo/Unit/$Type'), 'Edm.String');
      equal((await meta.requestObject('/Points/')).$Key, ['Id']);
      equal(await meta.requestObject('/Connections@Org.OData.Capabilities.V1.InsertRestrictions/Insertable'), false);
    });
    for (const [name, of] of [['$batch', gateway], ['$batch of 4.01', newer], ['requests of their own', direct]]) {
      await check(`the pages of a table, in ${name}`, async () => {
        const list = numbers(of);
        const first = await objects(list, 0, 100);
        equal(first.map(row => row.IntegerValue).slice(0, 3), ['1', '2', '3']);
        equal(list.getLength(), 2500, 'the length by $count');
        const later = await objects(list, 2450, 100);
        equal([later.length, later.at(-1).IntegerValue], [50, '2500']);
      });
    }
    await check('more rows than a page of the service has', async () => {
      // Of a longer page the model takes what the service gives, and asks for the rest when it is asked for it.
      const list = numbers(gateway);
      const rows = [];
      while (rows.length < 2500) {
        const more = await objects(list, rows.length, 2500 - rows.length);
        equal(more.length > 0, true, `more after ${rows.length}`);
        rows.push(...more);
      }
      equal(rows.map(row => Number(row.IntegerValue)), Array.from({ length: 2500 }, (_, index) => index + 1));
    });
    await check('an entity by its key, with what a URL has to hide', async () => {
      const name = encodeURIComponent("Pump''s Ø [mm] / 50 %");
      const context = gateway.bindContext(`/LatestReadings(Connection='source',Point='${name}')`);
      equal((await context.requestObject()).NumericValue, -2.5);
    });
    await check('long integers and decimals keep every digit', async () => {
      const list = gateway.bindList('/LatestReadings', undefined, [], [new Filter('Connection', FilterOperator.EQ, 'source')]);
      const rows = await objects(list, 0, 20);
      const of = point => rows.find(row => row.Point === point);
      equal([of('count').IntegerValue, of('weight').DecimalValue], ['9007199254740993', '1234567890123.4568']);
      equal(of('label').TextValue, 'it\'s 100 % – Größe & "more"');
    });
    await check('expand, with options and through ways', async () => {
      const list = gateway.bindList('/Connections', undefined, [], [new Filter('Name', FilterOperator.EQ, 'source')],
        { $expand: { Points: { $select: 'Id,Name,Unit', $filter: "Unit eq 'pcs'" } } });
      const [source] = await objects(list, 0, 5);
      equal(source.Points.map(point => point.Name), ['n']);
      const point = gateway.bindList('/Readings', undefined, [], ofNumbers(), { $select: 'Seq', $expand: { PointInfo: { $select: 'Id,Unit' } } });
      equal((await objects(point, 0, 1))[0].PointInfo.Unit, 'pcs');
    });
    await check('filters of controls: contains, between, or, not, any case', async () => {
      const filter = new Filter({
        filters: [
          new Filter({ path: 'Name', operator: FilterOperator.StartsWith, value1: "PUMP'S", caseSensitive: false }),
          new Filter('Name', FilterOperator.Contains, 'flow')
        ],
        and: false
      });
      const list = gateway.bindList('/Points', undefined, [new Sorter('Name', true)], [filter]);
      equal((await objects(list, 0, 10)).map(point => point.Name), ['flow temp', "Pump's Ø [mm] / 50 %"]);
      const both = [new Filter('IntegerValue', FilterOperator.BT, '10', '12'), new Filter('IntegerValue', FilterOperator.NE, '11')];
      const between = gateway.bindList('/Readings', undefined, [new Sorter('Seq')], [new Filter([...ofNumbers(), ...both], true)]);
      equal((await objects(between, 0, 10)).map(row => row.IntegerValue), ['10', '12']);
    });
    await check('any over a way to many', async () => {
      const dear = new Filter({ path: 'Points', operator: FilterOperator.Any, variable: 'p', condition: new Filter('p/Unit', FilterOperator.EQ, 'pcs') });
      equal((await objects(gateway.bindList('/Connections', undefined, [], [dear]), 0, 5)).map(row => row.Name), ['source']);
    });
    await check('the set with a column for each point', async () => {
      const list = gateway.bindList('/boiler_x002D_1', undefined, [new Sorter('time', true)]);
      const [row] = await objects(list, 0, 1);
      equal([row.flow_x0020_temp, row.pump], [61.5, false]);
      const again = gateway.bindContext(`/boiler_x002D_1(${encodeURIComponent(row.time)})`);
      equal((await again.requestObject()).flow_x0020_temp, 61.5);
    });
    await check('a table that groups and aggregates', async () => {
      const list = gateway.bindList('/Readings', undefined, [new Sorter('Connection')], [new Filter('Point', FilterOperator.EQ, 'n')], {
        $$aggregation: {
          aggregate: { Mean: { name: 'NumericValue', with: 'average' }, Greatest: { name: 'NumericValue', with: 'max' } },
          group: { Connection: {} }
        }
      });
      const [row] = await objects(list, 0, 5);
      equal([row.Connection, Number(row.Mean), Number(row.Greatest)], ['source', 1250.5, 2500]);
    });
    await check('what is refused says why', async () => {
      const wrong = gateway.bindList('/Points', undefined, [], [], { $filter: 'Nam eq 3' });
      const error = await refusal(() => wrong.requestContexts(0, 1));
      equal([error.status, error.error.code], [400, 'type']);
      const nothing = await refusal(() => gateway.bindContext("/Connections('nobody')").requestObject());
      equal([nothing.status, nothing.error.code], [404, 'not-found']);
    });
  }

  async function operations() {
    const points = gateway.bindList('/Points', undefined, [], [new Filter('Name', FilterOperator.EQ, 'setpoint')]);
    const [setpoint] = await points.requestContexts(0, 1);
    const write = async value => {
      const action = gateway.bindContext('Bulkhead.Write(...)', setpoint);
      action.setParameter('Value', value);
      await action.invoke();
      return action.getBoundContext().getObject();
    };
    await check('a bound action in a change set', async () => {
      const written = await write('43.5');
      equal([written.Value, written.ReadBack], ['43.5', '43.5']);
    });
    await check('an action without parameters, on an entity by its path', async () => {
      const test = gateway.bindContext("/Connections('boiler-1')/Bulkhead.Test(...)");
      await test.invoke();
      equal(test.getBoundContext().getObject().Ok, true);
    });
    await check('an action that is refused says why', async () => {
      const error = await refusal(() => write('91'));
      equal(error.status >= 400 && error.status < 500 && error.message.includes('90'), true, `${error.status} ${error.message}`);
    });
    await check('a function import with a time and a duration', async () => {
      const bucket = gateway.bindContext('/Bucket(...)');
      bucket.setParameter('Time', '2026-05-04T10:07:31Z').setParameter('Width', 'PT5M');
      await bucket.invoke();
      equal(bucket.getBoundContext().getObject().value, '2026-05-04T10:05:00Z');
    });
  }

  async function market() {
    await check('shop: types, enumerations, complex values', async () => {
      const list = shop.bindList('/Products', undefined, [new Sorter('Name')], [new Filter('Price', FilterOperator.GT, 100)]);
      const rows = await objects(list, 0, 20);
      equal(rows.length > 0 && rows.every(row => row.Price > 100), true);
      const again = await shop.bindContext(`/Products(${rows[0].ID})`).requestObject();
      equal(again.Name, rows[0].Name);
      const city = rows.map(row => row.ShippingAddress?.City).find(Boolean);
      const there = await objects(shop.bindList('/Products', undefined, [], [new Filter('ShippingAddress/City', FilterOperator.EQ, city)]), 0, 20);
      equal(there.length > 0 && there.every(row => row.ShippingAddress.City === city), true);
    });
    await check('shop: search', async () => {
      equal((await objects(shop.bindList('/Products', undefined, [], [], { $search: 'laptop' }), 0, 20)).length > 0, true);
    });
  }

  (async () => {
    await reads();
    await operations();
    await market();
    await report(`checks ${done}`);
  })();
});
