import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bitrateOf, lossOf, timeOf, withLocalTimes, zoneOf } from './format.ts'
import { languageOf } from './i18n/language.ts'

test('the chosen language wins over the browser, and Chinese over an unknown one', () => {
  assert.equal(languageOf('en', ['zh-CN']), 'en')
  assert.equal(languageOf(null, ['zh-CN', 'en']), 'zh')
  assert.equal(languageOf(null, ['en-GB', 'zh']), 'en')
  assert.equal(languageOf(null, ['fr', 'en']), 'en')
  assert.equal(languageOf('xx', ['fr']), 'zh')
})

test('a loss too small for two digits is not shown as none', () => {
  assert.equal(lossOf(0, 1000), '0 %')
  assert.equal(lossOf(1, 1_000_000), '< 0.01 %')
  assert.equal(lossOf(1, 99), '1.00 %')
  assert.equal(lossOf(0, 0), '0 %')
})

test('figures carry their unit', () => {
  assert.equal(bitrateOf(950.4), '950 kbit/s')
  assert.equal(bitrateOf(2048), '2.05 Mbit/s')
})

test('a missing time is no text', () => {
  assert.equal(timeOf(null), '')
  assert.equal(timeOf('not a time'), '')
  assert.match(timeOf('2026-03-01T00:00:00Z'), /^2026-0[23]-\d\d \d\d:00:00$/)
  const moment = '2026-03-01T00:00:00.041Z'
  assert.equal(withLocalTimes(`自 ${moment} 起没有媒体数据（${moment}）`), `自 ${timeOf(moment)} 起没有媒体数据（${timeOf(moment)}）`)
})

test('the zone of the times is told by its offset', () => {
  assert.equal(zoneOf(-480), 'UTC+8')
  assert.equal(zoneOf(210), 'UTC-3:30')
  assert.equal(zoneOf(0), 'UTC')
})
