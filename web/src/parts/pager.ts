/** One page of a keyset-paged list at a time: the way back is the cursors passed, so nothing grows with the list. */
import { computed, ref, shallowRef, type ComputedRef, type Ref, type ShallowRef } from 'vue'
import { call, query } from '../api/client.ts'
import type { Page } from '../api/types.ts'
import { errorText } from '../i18n/errors.ts'

export interface Pager<T> {
  items: ShallowRef<T[]>
  problem: Ref<string>
  isLoaded: Ref<boolean>
  hasNext: ComputedRef<boolean>
  hasPrevious: ComputedRef<boolean>
  load: () => Promise<void>
  next: () => Promise<void>
  previous: () => Promise<void>
  first: () => Promise<void>
}

export function usePager<T>(
  path: () => string,
  parameters: () => Record<string, string | number | boolean | null | undefined>,
): Pager<T> {
  const items = shallowRef<T[]>([])
  const cursors = ref<string[]>([])
  const nextCursor = ref<string | null>(null)
  const problem = ref('')
  const isLoaded = ref(false)
  let serial = 0

  async function load(): Promise<void> {
    const mine = ++serial
    const url = path() + query({ ...parameters(), cursor: cursors.value[cursors.value.length - 1] })
    try {
      const page = await call<Page<T>>('GET', url)
      if (mine !== serial) return
      items.value = page.items
      nextCursor.value = page.next
      problem.value = ''
      isLoaded.value = true
    } catch (error) {
      if (mine !== serial) return
      problem.value = errorText(error)
    }
  }
  async function next(): Promise<void> {
    if (!nextCursor.value) return
    cursors.value.push(nextCursor.value)
    await load()
  }
  async function previous(): Promise<void> {
    cursors.value.pop()
    await load()
  }
  async function first(): Promise<void> {
    cursors.value = []
    await load()
  }
  return {
    items,
    problem,
    isLoaded,
    hasNext: computed(() => nextCursor.value !== null && nextCursor.value !== ''),
    hasPrevious: computed(() => cursors.value.length > 0),
    load,
    next,
    previous,
    first,
  }
}
