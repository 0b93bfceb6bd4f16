import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dateOf, DAY_MS, endOfDay, HOUR_MS, monthAfter, startOfDay, weeksOf, zoneOf } from './days.ts'
import { around, durationParts, marksOf, panned, playableAt, SHORTEST_VIEW_MS, zoomed } from './timeline.ts'
import { BEFORE_MS, LONGEST_MS, timeAt, wallAt, windowAround } from './windows.ts'

const day = { from: 0, to: DAY_MS }

test('a zoom keeps the moment under the pointer and stays within the day', () => {
  const near = zoomed(day, 0.5, 6 * HOUR_MS, day)
  assert.equal(near.to - near.from, 12 * HOUR_MS)
  assert.equal((6 * HOUR_MS - near.from) / (near.to - near.from), 0.25)
  assert.deepEqual(zoomed(near, 100, 6 * HOUR_MS, day), day)
  const least = zoomed(day, 1e-9, DAY_MS, day)
  assert.deepEqual(least, { from: DAY_MS - SHORTEST_VIEW_MS, to: DAY_MS })
})

test('a view moves no further than the day', () => {
  assert.deepEqual(panned({ from: HOUR_MS, to: 2 * HOUR_MS }, -5 * HOUR_MS, day), { from: 0, to: HOUR_MS })
  assert.deepEqual(around(DAY_MS, HOUR_MS, day), { from: DAY_MS - HOUR_MS, to: DAY_MS })
})

test('marks are round and never crowded', () => {
  assert.equal(marksOf(day, day).every((at) => at % (2 * HOUR_MS) === 0), true)
  for (const length of [SHORTEST_VIEW_MS, HOUR_MS / 6, HOUR_MS, 6 * HOUR_MS, DAY_MS]) {
    const marks = marksOf({ from: 12_345, to: 12_345 + length }, { from: 0, to: 2 * DAY_MS })
    assert.ok(marks.length >= 4 && marks.length <= 15, `${length}: ${marks.length}`)
  }
})

test('a moment in a hole goes to the recording that follows', () => {
  const recorded = [
    { start: 100, end: 200 },
    { start: 300, end: 400 },
  ]
  assert.equal(playableAt(recorded, 150), 150)
  assert.equal(playableAt(recorded, 200), 300)
  assert.equal(playableAt(recorded, 50), 100)
  assert.equal(playableAt(recorded, 400), null)
})

test('a duration is told by its two largest units', () => {
  assert.deepEqual(durationParts(DAY_MS + 61_000), [{ unit: 'd', count: 1 }])
  assert.deepEqual(durationParts(2 * HOUR_MS + 5 * 60_000 + 7000), [{ unit: 'h', count: 2 }, { unit: 'min', count: 5 }])
  assert.deepEqual(durationParts(400), [{ unit: 's', count: 0 }])
})

test('a window holds what lies before the moment, at most two hours, and nothing to come', () => {
  const now = 1_000 * HOUR_MS
  const past = windowAround(now - DAY_MS, now)
  assert.deepEqual(past, { start: now - DAY_MS - BEFORE_MS, end: now - DAY_MS - BEFORE_MS + LONGEST_MS })
  assert.equal(windowAround(now - 60_000, now).end, now)
  const late = windowAround(now, now)
  assert.ok(late.end > late.start && late.end > now)
})

const entries = [
  { start: 0, duration: 6, programDateTime: 1_000_000 },
  { start: 6, duration: 6, programDateTime: 1_006_000 },
  { start: 12, duration: 4, programDateTime: 1_100_000 }, // after a gap
]

test('the wall clock follows the entries across a gap', () => {
  assert.equal(wallAt(entries, 0), 1_000_000)
  assert.equal(wallAt(entries, 7.5), 1_007_500)
  assert.equal(wallAt(entries, 13), 1_101_000)
  assert.equal(wallAt(entries, 99), 1_104_000)
  assert.equal(wallAt([], 0), null)
})

test('a moment is found in its entry, in a gap the beginning of what follows', () => {
  assert.equal(timeAt(entries, 1_007_500), 7.5)
  assert.equal(timeAt(entries, 1_050_000), 12)
  assert.equal(timeAt(entries, 1_102_000), 14)
  assert.equal(timeAt(entries, 900_000), 0)
  assert.equal(timeAt(entries, 1_104_000), null)
})

test('a month is laid out in weeks from Monday', () => {
  const weeks = weeksOf('2026-11')
  assert.equal(weeks[0]!.indexOf('2026-11-01'), 6)
  assert.equal(weeks[weeks.length - 1]![0], '2026-11-30')
  assert.equal(weeks.flat().filter(Boolean).length, 30)
  assert.equal(monthAfter('2026-12', 1), '2027-01')
  assert.equal(monthAfter('2026-01', -1), '2025-12')
})

test('a day is that of this clock, and its zone can be told to the server', () => {
  assert.equal(dateOf(startOfDay('2026-11-22')), '2026-11-22')
  assert.equal(dateOf(endOfDay('2026-11-30')), '2026-12-01')
  assert.match(zoneOf('2026-11'), /^[+-]\d\d:\d\d$/)
})
