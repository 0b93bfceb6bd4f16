/** Changes told by the server; while its WebSocket is down, a poll each 10 s stands in. */
import { onBeforeUnmount, onMounted, ref, watch } from 'vue'
import { spoken } from '../i18n/language.ts'
import { soonAfter } from '../live/backoff.ts'
import { forgetLogin, token } from './client.ts'

export interface ServerEvent {
  type?: string
  device_id?: string
  channel_id?: string
  [field: string]: unknown
}

type Listener = (event: ServerEvent) => void

const POLL_MS = 10_000
const SETTLE_MS = 1_000
/** Close code of the server: this token is no login (any more). */
const UNAUTHENTICATED = 4401

/** Whether changes arrive by themselves; false: the pages poll. */
export const isLive = ref(false)

const listeners = new Set<Listener>()
let socket: WebSocket | null = null
let failures = 0
let retry = 0

export function eventsUrl(where: { protocol: string; host: string }): string {
  return `${where.protocol === 'https:' ? 'wss' : 'ws'}://${where.host}/api/v1/events`
}

function connect(): void {
  window.clearTimeout(retry)
  const opened = new WebSocket(eventsUrl(window.location))
  socket = opened
  opened.onopen = () => opened.send(JSON.stringify({ token: token.value }))
  opened.onmessage = (message) => {
    // The first message proves that the token was taken; an open socket alone does not.
    isLive.value = true
    failures = 0
    const event = eventOf(String(message.data))
    if (event) for (const listener of listeners) listener(event)
  }
  opened.onclose = (closed) => {
    if (socket !== opened) return
    socket = null
    isLive.value = false
    if (closed.code === UNAUTHENTICATED) forgetLogin()
    if (token.value) retry = window.setTimeout(connect, soonAfter(++failures) * 1000)
  }
}

export function eventOf(text: string): ServerEvent | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as ServerEvent) : null
  } catch {
    return null
  }
}

/** Holds the connection open for as long as somebody is logged in. Called once, by the application. */
export function followEvents(): void {
  watch(
    token,
    (value) => {
      const old = socket
      socket = null
      isLive.value = false
      window.clearTimeout(retry)
      old?.close()
      failures = 0
      if (value) connect()
    },
    { immediate: true },
  )
}

export function useEvents(listener: Listener): void {
  onMounted(() => listeners.add(listener))
  onBeforeUnmount(() => listeners.delete(listener))
}

/**
 * Keeps what a page shows fresh: loads at once, on each event that `wants` names (at most once a second, however many
 * come), each `everyMs`, when the tab becomes visible again, and in the other language when that is chosen. Never twice at
 * the same time.
 */
export function useFresh(
  load: () => Promise<void>,
  { wants = () => true, everyMs = POLL_MS }: { wants?: (event: ServerEvent) => boolean; everyMs?: number } = {},
): { refresh: () => Promise<void> } {
  let running: Promise<void> | null = null
  let isStale = false
  let settle = 0
  let poll = 0

  async function refresh(): Promise<void> {
    if (running) {
      isStale = true
      return running
    }
    running = load().finally(() => {
      running = null
    })
    await running
    if (isStale) {
      isStale = false
      await refresh()
    }
  }
  function soon(): void {
    if (settle || document.hidden) return
    settle = window.setTimeout(() => {
      settle = 0
      void refresh()
    }, SETTLE_MS)
  }
  function onVisible(): void {
    if (!document.hidden) void refresh()
  }
  useEvents((event) => {
    if (wants(event)) soon()
  })
  watch(spoken, () => void refresh())
  onMounted(() => {
    poll = window.setInterval(soon, everyMs)
    document.addEventListener('visibilitychange', onVisible)
    void refresh()
  })
  onBeforeUnmount(() => {
    window.clearInterval(poll)
    window.clearTimeout(settle)
    document.removeEventListener('visibilitychange', onVisible)
  })
  return { refresh }
}
