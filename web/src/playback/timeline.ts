/** What a timeline shows: a view of some minutes to a day, its marks, and what lies at a moment. Times are milliseconds. */
import { DAY_MS, HOUR_MS } from './days.ts'

export interface View {
  from: number
  to: number
}

export interface Interval {
  start: number
  end: number
}

export interface Hole extends Interval {
  cause: string
}

export const SHORTEST_VIEW_MS = 2 * 60_000

const STEPS = [10, 30, 60, 300, 600, 1800, 3600, 7200, 14400].map((seconds) => seconds * 1000)
const MOST_MARKS = 14

/** Zooms by a factor so that the moment `around` stays where it is, within the day. */
export function zoomed(view: View, factor: number, around: number, day: View): View {
  const length = Math.min(Math.max((view.to - view.from) * factor, SHORTEST_VIEW_MS), day.to - day.from)
  const share = (around - view.from) / (view.to - view.from)
  return within(around - share * length, length, day)
}

/** Moves the view, within the day. */
export function panned(view: View, by: number, day: View): View {
  return within(view.from + by, view.to - view.from, day)
}

/** A view of this length around a moment, within the day. */
export function around(at: number, length: number, day: View): View {
  return within(at - length / 2, length, day)
}

function within(from: number, length: number, day: View): View {
  const size = Math.min(length, day.to - day.from)
  const begin = Math.min(Math.max(from, day.from), day.to - size)
  return { from: begin, to: begin + size }
}

/** Moments to be marked: round ones, as many as are readable. */
export function marksOf(view: View, day: View): number[] {
  const length = view.to - view.from
  const step = STEPS.find((size) => length / size <= MOST_MARKS) ?? 4 * HOUR_MS
  const marks: number[] = []
  // Counted from midnight, so that they are round on this browser's clock.
  for (let at = day.from + Math.ceil((view.from - day.from) / step) * step; at < view.to; at += step) {
    if (at > view.from) marks.push(at)
  }
  return marks
}

/** Whether the marks need seconds. */
export const needsSeconds = (view: View): boolean => view.to - view.from < MOST_MARKS * 60_000

export const spanAt = <T extends Interval>(spans: readonly T[], at: number): T | undefined =>
  spans.find((span) => span.start <= at && at < span.end)

/** The moment itself where it is recorded, else the beginning of the next recording, null where none follows. */
export function playableAt(recorded: readonly Interval[], at: number): number | null {
  if (spanAt(recorded, at)) return at
  const next = recorded.filter((span) => span.start > at).sort((a, b) => a.start - b.start)[0]
  return next ? next.start : null
}

/** `2 h 5 min` as numbers: what a duration is made of, the largest first, at most two. */
export function durationParts(ms: number): { unit: 'd' | 'h' | 'min' | 's'; count: number }[] {
  const units = [
    { unit: 'd', size: DAY_MS },
    { unit: 'h', size: HOUR_MS },
    { unit: 'min', size: 60_000 },
    { unit: 's', size: 1000 },
  ] as const
  let rest = Math.max(0, Math.round(ms / 1000)) * 1000
  const parts = units.map(({ unit, size }) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return { unit, count }
  })
  const first = parts.findIndex((part) => part.count > 0)
  return first < 0 ? [{ unit: 's', count: 0 }] : parts.slice(first, first + 2).filter((part) => part.count > 0)
}
