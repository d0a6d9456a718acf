// The publish side that both Node peers share: POST /send as the Node server
// Poosh had it, Express with body-parser and a token that is the SHA1 of the
// secret and the payload as JSON.stringify writes it.
'use strict';

const bodyParser = require('body-parser');
const express = require('express');
const sha1 = require('sha1');

module.exports = function publish(io) {
  const secret = process.env.SERVER_SECRET;
  const app = express();
  app.use(bodyParser.json());
  app.use((req, res, next) => {
    if (req.get('Authorization') !== sha1(secret + JSON.stringify(req.body.payload))) {
      return res.status(401).end();
    }
    next();
  });
  app.post('/send', (req, res) => {
    io.to(req.body.room).emit(req.body.event, req.body.payload);
    res.status(200).end();
  });
  app.listen(Number(process.env.SERVER_PORT), process.env.HOST);
};
