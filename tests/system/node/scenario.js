// scenario.js NAME URL VERSION -- one scenario with MQTT.js; exit status 0 if
// all went as it should. VERSION: 3 (MQIsdp), 4 or 5. test_mqttjs.py calls it.
'use strict'
const assert = require('assert')
const { once } = require('events')
const mqtt = require('mqtt')

const [name, url, version] = process.argv.slice(2)
const clients = []

// A connected client; `await client.next()` gives its messages one by one.
async function connect (options) {
  const client = mqtt.connect(url, {
    protocolVersion: Number(version),
    protocolId: version === '3' ? 'MQIsdp' : 'MQTT',
    reconnectPeriod: 0,
    ...options
  })
  const arrived = []
  const waiting = []
  client.on('message', (topic, payload, packet) => {
    const message = { topic, payload, packet }
    if (waiting.length) waiting.shift()(message)
    else arrived.push(message)
  })
  client.next = () => arrived.length
    ? Promise.resolve(arrived.shift())
    : new Promise(resolve => waiting.push(resolve))
  client.connack = new Promise(resolve => client.on('connect', resolve))
  clients.push(client)
  await Promise.race([client.connack, once(client, 'error').then(([error]) => { throw error })])
  return client
}

const scenarios = {
  async messages () {
    const receiver = await connect({ clientId: 'receiver' })
    const granted = await receiver.subscribeAsync('home/+/temperature', { qos: 2 })
    assert.equal(granted[0].qos, 2)
    const sender = await connect({ clientId: 'sender' })
    for (const qos of [0, 1, 2]) {
      for (let n = 0; n < 100; n++) {
        await sender.publishAsync('home/kitchen/temperature', `${qos}-${n}`, { qos })
      }
      for (let n = 0; n < 100; n++) {
        const message = await receiver.next()
        assert.equal(message.payload.toString(), `${qos}-${n}`)
        assert.equal(message.packet.qos, qos)
      }
    }
    await receiver.unsubscribeAsync('home/+/temperature')
    await receiver.subscribeAsync('end')
    await sender.publishAsync('home/kitchen/temperature', 'not seen')
    await sender.publishAsync('end', '')
    assert.equal((await receiver.next()).topic, 'end')
  },

  async large () {
    const client = await connect({ clientId: 'large' })
    await client.subscribeAsync('large', { qos: 1 })
    const payload = Buffer.alloc(1500000, 'knut')
    await client.publishAsync('large', payload, { qos: 1 })
    assert.ok((await client.next()).payload.equals(payload))
  },

  async retained () {
    const client = await connect({ clientId: 'retained' })
    await client.publishAsync('r/a', 'kept', { qos: 1, retain: true })
    await client.subscribeAsync('r/#', { qos: 1 })
    const message = await client.next()
    assert.equal(message.payload.toString(), 'kept')
    assert.equal(message.packet.retain, true)
    await client.publishAsync('r/a', '', { qos: 1, retain: true })
    assert.equal((await client.next()).packet.retain, false)
    await client.subscribeAsync('r/a')
    await client.publishAsync('r/end', '')
    assert.equal((await client.next()).topic, 'r/end')
  },

  async will () {
    const watcher = await connect({ clientId: 'watcher' })
    await watcher.subscribeAsync('will', { qos: 1 })
    const polite = await connect({ clientId: 'polite', will: { topic: 'will', payload: 'polite', qos: 1 } })
    await polite.endAsync()
    const doomed = await connect({ clientId: 'doomed', will: { topic: 'will', payload: 'gone', qos: 1 } })
    doomed.stream.destroy()
    const message = await watcher.next()
    assert.equal(message.payload.toString(), 'gone')
    assert.equal(message.packet.qos, 1)
  },

  async durable () {
    const options = {
      clientId: 'durable',
      clean: false,
      properties: version === '5' ? { sessionExpiryInterval: 600 } : undefined
    }
    const first = await connect(options)
    await first.subscribeAsync('d', { qos: 1 })
    await first.endAsync()
    const sender = await connect({ clientId: 'sender' })
    for (let n = 0; n < 10; n++) await sender.publishAsync('d', String(n), { qos: 1 })
    const again = await connect(options)
    if (version !== '3') assert.equal((await again.connack).sessionPresent, true)
    for (let n = 0; n < 10; n++) assert.equal((await again.next()).payload.toString(), String(n))
  },

  async crowd () {
    const crowd = []
    for (let n = 0; n < 50; n++) crowd.push(await connect({ clientId: `member${n}` }))
    await Promise.all(crowd.map(member => member.subscribeAsync('news', { qos: 1 })))
    await crowd[0].publishAsync('news', 'hello', { qos: 1 })
    for (const member of crowd) assert.equal((await member.next()).payload.toString(), 'hello')
  },

  async properties () {
    const client = await connect({
      clientId: '',
      properties: { topicAliasMaximum: 5, receiveMaximum: 3 }
    })
    const connack = await client.connack
    assert.match(connack.properties.assignedClientIdentifier, /^auto-/)
    assert.equal(connack.properties.topicAliasMaximum, 10)
    await client.subscribeAsync('p', { qos: 1, properties: { subscriptionIdentifier: 9 } })
    for (let n = 0; n < 8; n++) {
      await client.publishAsync('p', String(n), {
        qos: 1,
        properties: {
          contentType: 'text/plain',
          responseTopic: 'answer',
          correlationData: Buffer.from('abc'),
          userProperties: { room: 'kitchen' },
          messageExpiryInterval: 1000,
          topicAlias: 1 + n % 2
        }
      })
    }
    for (let n = 0; n < 8; n++) {
      const { topic, payload, packet } = await client.next()
      assert.equal(topic, 'p') // MQTT.js put the alias's topic in
      assert.equal(payload.toString(), String(n))
      assert.equal(packet.properties.contentType, 'text/plain')
      assert.equal(packet.properties.responseTopic, 'answer')
      assert.equal(packet.properties.correlationData.toString(), 'abc')
      assert.equal(packet.properties.userProperties.room, 'kitchen')
      assert.equal(packet.properties.subscriptionIdentifier, 9)
      assert.ok(packet.properties.messageExpiryInterval <= 1000)
    }
  }
}

async function main () {
  await scenarios[name]()
  await Promise.all(clients.map(client => client.endAsync()))
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
