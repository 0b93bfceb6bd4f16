import assert from 'node:assert/strict'
import { test } from 'node:test'
import { distanceText, drawTrack, lengthOf } from './track.ts'

const WUHU = { longitude: 118.376, latitude: 31.326 }

test('a track fits its frame, north is up and east is right', () => {
  const drawn = drawTrack([WUHU, { longitude: 118.386, latitude: 31.336 }], 600, 400)
  const [start, end] = drawn.places
  assert.ok(start && end)
  assert.ok(end.x > start.x && end.y < start.y)
  for (const place of drawn.places) assert.ok(place.x >= 24 && place.x <= 576 && place.y >= 23.9 && place.y <= 376.1)
})

test('a device that stands still is one point in the middle', () => {
  const drawn = drawTrack([WUHU, WUHU, { longitude: 118.376001, latitude: 31.326 }], 600, 400)
  for (const place of drawn.places) assert.ok(Math.abs(place.x - 300) < 2 && Math.abs(place.y - 200) < 2)
})

test('the scale bar is a round length and no longer than a quarter of the frame', () => {
  const drawn = drawTrack([WUHU, { longitude: 118.476, latitude: 31.326 }], 600, 400)
  assert.ok([1, 2, 5].includes(Number(String(drawn.barMetres)[0])))
  assert.ok(drawn.bar <= 150 && drawn.bar > 30)
})

test('a track over 180 degrees is short', () => {
  const track = [
    { longitude: 179.999, latitude: 0 },
    { longitude: -179.999, latitude: 0 },
  ]
  assert.ok(lengthOf(track) < 300)
  assert.equal(drawTrack([], 1, 1).line, '')
})

test('lengths are told in metres and kilometres', () => {
  assert.ok(Math.abs(lengthOf([WUHU, { ...WUHU, latitude: 31.336 }]) - 1113) < 2)
  assert.deepEqual([12.4, 999, 1500, 12_345].map(distanceText), ['12 m', '999 m', '1.50 km', '12.3 km'])
})
