//! CAP's server with faults to order: `POST /faults` with `{"refuse": 5, "swallow": 7}` has every fifth request to the service answered
//! with 500 before CAP sees it, and every seventh carried out but never answered. `GET /faults` counts both.

const cds = require('@sap/cds');
const express = require('express');

const faults = { refuse: 0, swallow: 0, seen: 0, refused: 0, swallowed: 0 };

cds.on('bootstrap', app => {
  app.get('/faults', (_, response) => response.json(faults));
  app.post('/faults', express.json(), (request, response) => response.json(Object.assign(faults, request.body)));
  app.use('/odata/v4/plant', (request, response, next) => {
    if (request.method === 'GET') {
      return next();
    }
    faults.seen += 1;
    if (faults.refuse && faults.seen % faults.refuse === 0) {
      faults.refused += 1;
      return response.status(500).json({ error: { code: '500', message: 'out of order, as ordered' } });
    }
    if (faults.swallow && faults.seen % faults.swallow === 0) {
      faults.swallowed += 1;
      // Whoever waits for it runs into its time limit.
      response.write = () => true;
      response.end = () => response;
    }
    next();
  });
});

module.exports = cds.server;
