import assert from 'node:assert/strict'
import { test } from 'node:test'
import { STAGES } from '../api/types.ts'
import zh from '../i18n/zh.json' with { type: 'json' }
import { delayAfter, soonAfter } from './backoff.ts'
import { filled, layoutOf, queryOf, type ChannelKey } from './layout.ts'
import { isFinal, playerReasonOf, reasonOf, type Failure } from './reasons.ts'

const failure = (given: Partial<Failure>): Failure => ({ code: 'no_picture', stage: '', detail: {}, ...given })
const key = (number: number): ChannelKey => ({ device_id: `d${number}`, channel_id: `c${number}` })

test('pauses double and stay bounded', () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 1000].map(delayAfter), [1, 2, 4, 8, 16, 30, 30, 30])
  assert.deepEqual([1, 2, 3, 4, 1000].map(soonAfter), [1, 2, 4, 5, 5])
})

test('each stage has a sentence of its own', () => {
  const reasons = STAGES.map((stage) => reasonOf(failure({ stage })))
  assert.equal(new Set(reasons).size, STAGES.length)
  for (const reason of reasons) assert.ok(reason in zh.reason, reason)
  for (const stage of STAGES) assert.ok(stage in zh.stage, stage)
})

test('each reason that can be given has a sentence', () => {
  const sip = Array.from({ length: 400 }, (_, index) => failure({ stage: 'trying', detail: { sip_status: 300 + index } }))
  const codes = ['network', 'device_offline', 'not_found', 'forbidden', 'unavailable', 'storage', 'peer_timeout', 'peer_error', 'http', '']
  const given = [...sip, ...codes.map((code) => failure({ code }))].map(reasonOf)
  const played = ['CodecUnsupported', 'MediaMSEError', 'FormatError', 'Exception'].map((kind) => playerReasonOf(kind, ''))
  for (const reason of [...given, ...played]) assert.ok(reason in zh.reason, reason)
})

test('the SIP answer says more than the stage', () => {
  assert.equal(reasonOf(failure({ stage: 'trying', detail: { sip_status: 486 } })), 'refused_busy')
  assert.equal(reasonOf(failure({ stage: 'invited', detail: { sip_status: 488 } })), 'refused_media')
  assert.equal(reasonOf(failure({ stage: 'trying', detail: { sip_status: 580 } })), 'refused_error')
  assert.equal(reasonOf(failure({ stage: 'trying', detail: { sip_status: 302 } })), 'refused')
})

test('an offline device is not called a failure to send', () => {
  assert.equal(reasonOf(failure({ stage: 'reserved', code: 'device_offline', detail: { device: 'offline' } })), 'offline')
})

test('H.265 that the browser cannot decode is named, and not tried again by itself', () => {
  const message = "Failed to execute 'addSourceBuffer': The type provided ('video/mp4;codecs=hvc1.1.6.L93.B0') is not supported."
  assert.equal(playerReasonOf('MediaMSEError', message), 'browser_no_h265')
  assert.ok(isFinal('browser_no_h265'))
  assert.ok(!isFinal('link_lost'))
})

test('a layout survives the address', () => {
  const layout = { grid: 4 as const, cells: [key(1), null, key(2), null], isAutomatic: false }
  assert.deepEqual(layoutOf(queryOf(layout)), layout)
})

test('a grid without channels fills itself', () => {
  assert.deepEqual(layoutOf({ grid: '9' }), { grid: 9, cells: Array(9).fill(null), isAutomatic: true })
  assert.equal(layoutOf({}).grid, 4)
  assert.equal(layoutOf({ grid: '7' }).grid, 4)
  assert.equal(layoutOf({ grid: '16' }).cells.length, 16)
})

test('what is no channel in the address is an empty cell', () => {
  assert.deepEqual(layoutOf({ grid: '4', c: ['-', 'a~b~c', '~x', null] }).cells, [null, null, null, null])
})

test('filling keeps what is shown and shows nothing twice', () => {
  assert.deepEqual(filled([key(2), null, null, null], [key(1), key(2), key(3)]), [key(2), key(1), key(3), null])
})
