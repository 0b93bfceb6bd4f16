import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TreeNode } from '../api/types.ts'
import { keyOf, linesOf, moveOf, type Level } from './tree.ts'

const node = (id: string, has_children = false): TreeNode => ({
  id,
  name: id,
  kind: has_children ? 'civil' : 'channel',
  parent: '',
  has_children,
  device_id: '',
  channel_id: null,
  online: true,
  playable: !has_children,
  channels: { total: 0, online: 0 },
})
const north = node('north', true)
const south = node('south', true)
const gate = node('gate')
const levels = new Map<string, Level>([
  ['', { nodes: [north, south], next: 'c1' }],
  ['>north', { nodes: [gate], next: null }],
  ['>south', { nodes: [gate], next: null }],
])

test('only opened levels are shown, and more of a level is a line of its own', () => {
  assert.deepEqual(
    linesOf(levels, new Set(['>north'])).map((line) => [line.key, line.depth]),
    [['>north', 0], ['>north>gate', 1], ['>south', 0], ['>more', 0]],
  )
})

test('a node in two places is two lines', () => {
  const keys = linesOf(levels, new Set(['>north', '>south'])).map((line) => line.key)
  assert.deepEqual(new Set(keys).size, keys.length)
  assert.deepEqual(keyOf('>south', gate), '>south>gate')
})

test('arrows open, enter, leave and close', () => {
  const opened = new Set(['>north'])
  const lines = linesOf(levels, opened)
  assert.deepEqual(moveOf('ArrowRight', lines, 0, opened), { to: 1 })
  assert.deepEqual(moveOf('ArrowRight', lines, 2, opened), { open: '>south' })
  assert.deepEqual(moveOf('ArrowLeft', lines, 1, opened), { to: 0 })
  assert.deepEqual(moveOf('ArrowLeft', lines, 0, opened), { close: '>north' })
  assert.deepEqual(moveOf('ArrowLeft', lines, 2, opened), null)
  assert.deepEqual(moveOf('ArrowRight', lines, 1, opened), null)
  assert.deepEqual(moveOf('End', lines, 0, opened), { to: 3 })
  assert.deepEqual(moveOf('ArrowUp', lines, 0, opened), { to: 0 })
  assert.deepEqual(moveOf('x', lines, 0, opened), null)
})
