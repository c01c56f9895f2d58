// An MQTT 3.1.1 broker for machines without Mosquitto: same password file, same ACL file, same limits.
// Sessions and queues live in memory only; `pledgewatch doctor` says so.
import { createServer } from 'node:net'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Aedes } from 'aedes'
import { mayPublish, mayRead, maySubscribe, readAcl } from './acl.mjs'
import { passwordMatches, readPasswords } from './passwords.mjs'

const { values: options } = parseArgs({
  options: {
    port: { type: 'string' },
    passwords: { type: 'string' },
    acl: { type: 'string' },
    'max-packet-bytes': { type: 'string' }
  }
})
const maxPacketBytes = Number(options['max-packet-bytes'])
const BAD_USER_NAME_OR_PASSWORD = 4
const FIXED_HEADER_BYTES = 9 // type, length, topic length, message id: the most that MQTT 3.1.1 adds

let accounts = new Map()
let acl = readAcl('')

function say (text) {
  process.stderr.write(`${new Date().toISOString()}: ${text}\n`)
}

function reload () {
  accounts = readPasswords(readFileSync(options.passwords, 'utf8'))
  acl = readAcl(readFileSync(options.acl, 'utf8'))
}

function refusal (message, returnCode) {
  return Object.assign(new Error(message), { returnCode })
}

const broker = await Aedes.createBroker({
  // Of MQTT 3.1 clients; ingest slots and devices have longer names than its 23 characters.
  maxClientsIdLength: 256,

  async authenticate (client, username, password, done) {
    const stored = accounts.get(username ?? '')
    const given = password ? password.toString() : ''
    if (stored && await passwordMatches(given, stored)) {
      client.account = { username, stored }
      // As Mosquitto's `use_username_as_clientid`: only the accounts that the ACL names choose their
      // client ids; anybody else could take over the session of an ingest worker.
      if (!acl.users.has(username)) client.id = username
      return done(null, true)
    }
    done(refusal('bad user name or password', BAD_USER_NAME_OR_PASSWORD), false)
  },

  authorizePublish (client, packet, done) {
    const size = packet.payload.length + Buffer.byteLength(packet.topic) + FIXED_HEADER_BYTES
    if (size > maxPacketBytes) return done(new Error(`packet of ${size} bytes, at most ${maxPacketBytes}`))
    // A last will is judged like any message; the broker's own ($SYS) have no client.
    if (client && !mayPublish(acl, client.account.username, packet.topic)) {
      return done(new Error(`${client.account.username} may not publish to ${packet.topic}`))
    }
    done(null)
  },

  authorizeSubscribe (client, subscription, done) {
    if (maySubscribe(acl, client.account.username, subscription.topic)) return done(null, subscription)
    say(`${client.account.username} may not subscribe to ${subscription.topic}`)
    done(null, null)
  },

  authorizeForward (client, packet) {
    return mayRead(acl, client.account.username, packet.topic) ? packet : null
  }
})

broker.on('clientReady', client => say(`New client connected as ${client.id} (u'${client.account.username}').`))
broker.on('clientDisconnect', client => say(`Client ${client.id} disconnected.`))
broker.on('clientError', (client, error) => say(`Client ${client.id}: ${error.message}`))
broker.on('connectionError', (client, error) => say(`Connection refused: ${error.message}`))

const server = createServer({ noDelay: true }, broker.handle)
server.on('error', error => {
  say(`Error: ${error.message}`)
  process.exit(1)
})

process.on('SIGHUP', () => {
  try {
    reload()
  } catch (error) {
    return say(`Error: the old accounts stay: ${error.message}`)
  }
  for (const client of Object.values(broker.clients)) {
    if (accounts.get(client.account?.username) !== client.account?.stored) client.close()
  }
  // Printed last: whoever waits for this line may rely on the new accounts.
  say('Reloading config: done.')
})

for (const name of ['SIGTERM', 'SIGINT']) {
  process.on(name, () => {
    say('terminating')
    broker.close(() => process.exit(0))
    server.close()
  })
}

reload()
server.listen(Number(options.port), '127.0.0.1', () => say(`aedes running on port ${options.port}`))
