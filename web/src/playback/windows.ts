/** A playlist holds at most two hours: which window to ask for, and where a wall-clock moment lies in it. Milliseconds. */
import type { Interval } from './timeline.ts'

/** How much of a window lies before the moment that was asked for, so that short steps back need no new one. */
export const BEFORE_MS = 10 * 60_000
export const LONGEST_MS = 2 * 3_600_000

/** One entry of a playlist: media time in seconds, and the wall clock at its beginning. */
export interface Entry {
  start: number
  duration: number
  programDateTime: number | null
}

export function windowAround(at: number, now: number): Interval {
  const start = at - BEFORE_MS
  return { start, end: Math.max(Math.min(start + LONGEST_MS, now), at + 1000) }
}

/** The wall clock at a media time, null where the playlist does not say. */
export function wallAt(entries: readonly Entry[], time: number): number | null {
  const entry = lastBefore(entries, (each) => each.start <= time + 0.001) ?? entries[0]
  if (!entry || entry.programDateTime === null) return null
  const into = Math.min(Math.max(time - entry.start, 0), entry.duration)
  return entry.programDateTime + into * 1000
}

/** The media time of a moment; inside a hole the beginning of what follows; null when nothing follows. */
export function timeAt(entries: readonly Entry[], at: number): number | null {
  for (const entry of entries) {
    if (entry.programDateTime === null || at >= entry.programDateTime + entry.duration * 1000) continue
    return entry.start + Math.max(0, at - entry.programDateTime) / 1000
  }
  return null
}

function lastBefore(entries: readonly Entry[], claim: (entry: Entry) => boolean): Entry | undefined {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (claim(entries[middle]!)) low = middle + 1
    else high = middle
  }
  return entries[low - 1]
}
