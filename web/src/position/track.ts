/** A track as a picture without a map: metres east and north of its middle, fitted into a frame. */

export interface Point {
  longitude: number
  latitude: number
}

export interface Drawn {
  /** `points` of an SVG polyline. */
  line: string
  /** Each point in the frame. */
  places: { x: number; y: number }[]
  /** Length of the scale bar in the frame, and in metres. */
  bar: number
  barMetres: number
}

const METRES_PER_DEGREE = 111_320
/** A device that stands still is drawn in a frame of so many metres, not as the noise of its receiver. */
const SMALLEST_M = 50

export function drawTrack(points: readonly Point[], width: number, height: number, margin = 24): Drawn {
  if (points.length === 0) return { line: '', places: [], bar: 0, barMetres: 0 }
  const latitudes = points.map((point) => point.latitude)
  const middle = (least(latitudes) + most(latitudes)) / 2
  const eastOf = METRES_PER_DEGREE * Math.max(Math.cos((middle * Math.PI) / 180), 1e-6)
  const first = points[0]?.longitude ?? 0
  // A track over 180° is short, not once round the globe.
  const east = points.map((point) => wrapped(point.longitude - first) * eastOf)
  const north = latitudes.map((latitude) => (latitude - middle) * METRES_PER_DEGREE)
  const [left, right, bottom, top] = [least(east), most(east), least(north), most(north)]
  const span = Math.max(right - left, SMALLEST_M)
  const rise = Math.max(top - bottom, SMALLEST_M)
  const scale = Math.min((width - 2 * margin) / span, (height - 2 * margin) / rise)
  const places = points.map((_, index) => ({
    x: round(width / 2 + ((east[index] ?? 0) - (left + right) / 2) * scale),
    y: round(height / 2 - ((north[index] ?? 0) - (bottom + top) / 2) * scale),
  }))
  const barMetres = niceBelow((width / 4) / scale)
  return { line: places.map((place) => `${place.x},${place.y}`).join(' '), places, bar: round(barMetres * scale), barMetres }
}

/** Metres along the track. */
export function lengthOf(points: readonly Point[]): number {
  let metres = 0
  for (let index = 1; index < points.length; index += 1) {
    const [from, to] = [points[index - 1], points[index]]
    if (!from || !to) continue
    const east = wrapped(to.longitude - from.longitude) * Math.cos((((from.latitude + to.latitude) / 2) * Math.PI) / 180)
    metres += Math.hypot(east, to.latitude - from.latitude) * METRES_PER_DEGREE
  }
  return metres
}

export function distanceText(metres: number): string {
  return metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(metres < 10_000 ? 2 : 1)} km`
}

const wrapped = (degrees: number): number => (degrees > 180 ? degrees - 360 : degrees < -180 ? degrees + 360 : degrees)
const round = (value: number): number => Math.round(value * 10) / 10
const least = (values: number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity)
const most = (values: number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity)

/** 1, 2 or 5 times a power of ten, not above. */
function niceBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)))
  const lead = value / power
  return (lead >= 5 ? 5 : lead >= 2 ? 2 : 1) * power
}
