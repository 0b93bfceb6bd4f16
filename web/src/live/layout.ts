/** The live page's address is its layout: `#/live?grid=4&c=<device>~<channel>&c=-…`, one `c` a cell, `-` for an empty one. */

export const GRIDS = [1, 4, 9, 16] as const
export type Grid = (typeof GRIDS)[number]

export interface ChannelKey {
  device_id: string
  channel_id: string
}

export type Cells = (ChannelKey | null)[]

export interface Layout {
  grid: Grid
  cells: Cells
  /** Nobody has chosen channels: cells fill with the first that can be shown. */
  isAutomatic: boolean
}

type QueryValue = string | null | (string | null)[] | undefined

export function layoutOf(query: Record<string, QueryValue>): Layout {
  const wanted = Number([query['grid']].flat()[0])
  const grid = GRIDS.find((size) => size === wanted) ?? 4
  const chosen = [query['c'] ?? []].flat()
  return { grid, cells: sized(chosen.map(keyOf), grid), isAutomatic: chosen.length === 0 }
}

export function queryOf(layout: Layout): Record<string, string | string[]> {
  const grid = String(layout.grid)
  if (layout.isAutomatic) return { grid }
  return { grid, c: layout.cells.map((key) => (key ? nameOf(key) : '-')) }
}

/** As many cells as the grid has; what no longer fits is dropped from the end. */
export function sized(cells: Cells, grid: Grid): Cells {
  return Array.from({ length: grid }, (_, index) => cells[index] ?? null)
}

export const nameOf = (key: ChannelKey): string => `${key.device_id}~${key.channel_id}`

export const isSame = (a: ChannelKey | null, b: ChannelKey | null): boolean =>
  a !== null && b !== null && a.device_id === b.device_id && a.channel_id === b.channel_id

/** Fills empty cells, in order, with candidates that no cell shows yet; the rest stays as it is. */
export function filled(cells: Cells, candidates: ChannelKey[]): Cells {
  const fresh = candidates.filter((key) => !cells.some((cell) => isSame(cell, key)))
  return cells.map((cell) => cell ?? fresh.shift() ?? null)
}

export function keyOf(text: string | null): ChannelKey | null {
  const [device_id, channel_id, ...rest] = (text ?? '').split('~')
  return device_id && channel_id && rest.length === 0 ? { device_id, channel_id } : null
}
