// Segment's own Rehook destination behind a plain HTTP server: node segment.js PORT ENGINE_PORT
//
// A call is answered after the engine has answered: nothing is kept. What the destination sends to
// the partner's address goes to the engine of the benchmark, without TLS.
'use strict'

const http = require('http')
const https = require('https')
const { Destination } = require('@segment/actions-core')
const definition = require('@segment/action-destinations/dist/destinations/rehook').default

const [port, engine] = process.argv.slice(2).map(Number)

https.request = (options, answered) =>
  http.request({ ...options, protocol: 'http:', hostname: '127.0.0.1', port: engine }, answered)

// Every action with its presets, as Segment sets a destination up.
const subscriptions = Object.entries(definition.actions).map(([name, action]) => ({
  name,
  enabled: true,
  partnerAction: name,
  subscribe: action.defaultSubscription,
  mapping: Object.fromEntries(
    Object.entries(action.fields)
      .filter(([, field]) => field.default !== undefined)
      .map(([key, field]) => [key, field.default])
  ),
}))
const destination = new Destination(definition)
const settings = { api_key: 'key', api_secret: 'secret', subscriptions }

const server = http.createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', async () => {
    try {
      await destination.onEvent(JSON.parse(Buffer.concat(parts)), settings)
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}')
    } catch (error) {
      console.error(error)
      response.writeHead(500).end()
    }
  })
})
server.keepAliveTimeout = 60_000
server.listen(port, '127.0.0.1', () => console.error('receiving'))
