/** A tree of which only the opened levels are known: what is shown of it, and where the keyboard leads. */
import type { TreeNode } from '../api/types.ts'

/** What is known of the level below a node; `next` is the cursor of its next page. */
export interface Level {
  nodes: TreeNode[]
  next: string | null
}

/** One line: a node, or the button that brings more of a level. */
export interface Line {
  key: string
  depth: number
  node: TreeNode | null
  /** Of the level that the line stands in. */
  parent: string
}

/** Lines from the top, opened levels below their nodes. A node that stands in two places is told apart by its parents. */
export function linesOf(levels: ReadonlyMap<string, Level>, opened: ReadonlySet<string>, top = '', depth = 0): Line[] {
  const level = levels.get(top)
  if (!level) return []
  const lines: Line[] = []
  for (const node of level.nodes) {
    const key = keyOf(top, node)
    lines.push({ key, depth, node, parent: top })
    if (opened.has(key)) lines.push(...linesOf(levels, opened, key, depth + 1))
  }
  if (level.next) lines.push({ key: `${top}>more`, depth, node: null, parent: top })
  return lines
}

export const keyOf = (parent: string, node: TreeNode): string => `${parent}>${node.id}`

export type Move = { to: number } | { open: string } | { close: string } | null

/** Where a key leads from a line (WAI-ARIA tree): arrows, Home, End; null for a key that means nothing here. */
export function moveOf(key: string, lines: readonly Line[], at: number, opened: ReadonlySet<string>): Move {
  const line = lines[at]
  if (!line) return null
  const isOpen = opened.has(line.key)
  switch (key) {
    case 'ArrowDown':
      return { to: Math.min(at + 1, lines.length - 1) }
    case 'ArrowUp':
      return { to: Math.max(at - 1, 0) }
    case 'Home':
      return { to: 0 }
    case 'End':
      return { to: lines.length - 1 }
    case 'ArrowRight':
      if (!line.node?.has_children) return null
      return isOpen ? { to: Math.min(at + 1, lines.length - 1) } : { open: line.key }
    case 'ArrowLeft': {
      if (isOpen) return { close: line.key }
      const above = lines.findIndex((one) => one.key === line.parent)
      return above < 0 ? null : { to: above }
    }
    default:
      return null
  }
}
