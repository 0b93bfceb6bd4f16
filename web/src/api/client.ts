/** Calls of the API with the token of this browser tab. */
import { computed, ref } from 'vue'
import { withLocalTimes } from '../format.ts'
import type { Login, Role } from './types.ts'

const BASE = '/api/v1'
const TOKEN = 'gb28181.token'
const USER = 'gb28181.user'
const ROLE = 'gb28181.role'

export interface ErrorBody {
  code: string
  message: string
  stage?: string
  detail?: Record<string, unknown>
  /** Of the message: a sentence that has no Chinese is told in English. */
  language?: string
}

/** An answer that is no success. `status` 0: the server could not be reached at all. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly stage: string
  readonly detail: Record<string, unknown>
  readonly language: string

  constructor(status: number, body: ErrorBody) {
    super(withLocalTimes(body.message))
    this.status = status
    this.code = body.code
    this.stage = body.stage ?? ''
    this.detail = body.detail ?? {}
    this.language = body.language ?? ''
  }
}

export const token = ref(sessionStorage.getItem(TOKEN) ?? '')
export const username = ref(sessionStorage.getItem(USER) ?? '')
const role = ref<Role>((sessionStorage.getItem(ROLE) as Role | null) ?? 'viewer')

/** What to offer; what is allowed the server decides. */
export const mayOperate = computed(() => role.value !== 'viewer')
export const mayAdminister = computed(() => role.value === 'admin')

export function forgetLogin(): void {
  sessionStorage.removeItem(TOKEN)
  sessionStorage.removeItem(USER)
  sessionStorage.removeItem(ROLE)
  token.value = ''
}

export async function login(name: string, password: string): Promise<void> {
  remember(await request<Login>('POST', '/login', { username: name, password }))
}

/** Gives the user of this tab another password; the answer is a new login. */
export async function changePassword(old: string, wanted: string): Promise<void> {
  remember(await call<Login>('POST', '/password', { old, new: wanted }))
}

function remember(answer: Login): void {
  sessionStorage.setItem(TOKEN, answer.token)
  sessionStorage.setItem(USER, answer.username)
  sessionStorage.setItem(ROLE, answer.role)
  username.value = answer.username
  role.value = answer.role
  token.value = answer.token
}

/** An API that has not answered by then is not going to; opening a picture takes longer and brings its own signal. */
const TIMEOUT_MS = 30_000

/** Calls the API; an answer of 401 ends the login of this tab, and the router shows the login page. */
export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  try {
    return await request<T>(method, path, body, signal)
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) forgetLogin()
    throw error
  }
}

/** Saves what the API answers with as a file of this browser. */
export async function fetchFile(path: string, name: string): Promise<void> {
  let response: Response
  try {
    response = await fetch(BASE + path, { headers: headers() })
  } catch (error) {
    throw new ApiError(0, { code: 'network', message: String(error) })
  }
  if (response.status === 401) forgetLogin()
  if (!response.ok) throw new ApiError(response.status, errorBody(await response.text(), response))
  const url = URL.createObjectURL(await response.blob())
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  URL.revokeObjectURL(url)
}

/** Calls the API even while the page is being closed; an answer is not waited for. */
export function sendAndLeave(method: string, path: string): void {
  void fetch(BASE + path, { method, headers: headers(), keepalive: true }).catch(() => {
    // The server ends by itself what nobody renews.
  })
}

/** Ends a session even while the page is being closed; an answer is not waited for. */
export function endSession(sessionId: string): void {
  const url = `${BASE}/sessions/${encodeURIComponent(sessionId)}`
  void fetch(url, { method: 'DELETE', headers: headers(), keepalive: true }).catch(() => {
    // The server ends a session without viewers by itself.
  })
}

/** The server's sentences are wanted in the language of the page, which need not be that of the browser. */
const spoken = (): Record<string, string> => ({ 'Accept-Language': document.documentElement.lang })

function headers(): Record<string, string> {
  return token.value ? { ...spoken(), Authorization: `Bearer ${token.value}` } : spoken()
}

/** Calls a media link, which is its own permission. */
export const callMedia = <T>(method: string, url: string): Promise<T> =>
  answerOf<T>(url, { method, headers: spoken() })

/** Sends a file to a media link. It takes as long as its size and the line make it. */
export async function sendFile(url: string, file: File): Promise<void> {
  await answerOf<unknown>(url, { method: 'PUT', headers: spoken(), body: file }, new AbortController().signal)
}

async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method, headers: headers() }
  if (body !== undefined) {
    init.headers = { ...init.headers, 'Content-Type': 'application/json' }
    init.body = JSON.stringify(body)
  }
  return await answerOf<T>(BASE + path, init, signal)
}

async function answerOf<T>(url: string, init: RequestInit, signal?: AbortSignal): Promise<T> {
  const timeout = new AbortController()
  const timer = window.setTimeout(() => timeout.abort(), TIMEOUT_MS)
  try {
    const response = await fetch(url, { ...init, signal: signal ?? timeout.signal })
    const text = await response.text()
    if (response.ok) return (text ? JSON.parse(text) : null) as T
    throw new ApiError(response.status, errorBody(text, response))
  } catch (error) {
    if (error instanceof ApiError || signal?.aborted) throw error
    throw new ApiError(0, { code: 'network', message: String(error) })
  } finally {
    window.clearTimeout(timer)
  }
}

function errorBody(text: string, response: Response): ErrorBody {
  try {
    const { error } = JSON.parse(text) as { error?: ErrorBody }
    if (error && typeof error.message === 'string') return { ...error, language: response.headers.get('Content-Language') ?? '' }
  } catch {
    // Not from the API: a proxy on the way answered with a page of its own.
  }
  return { code: 'http', message: `HTTP ${response.status}` }
}

/** `{a: 1, b: undefined}` as `?a=1`; what is undefined or empty is left out. */
export function query(parameters: Record<string, string | number | boolean | null | undefined>): string {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== '') search.set(key, String(value))
  }
  const text = search.toString()
  return text && `?${text}`
}

export const channelPath = (key: { device_id: string; channel_id: string }): string =>
  `/devices/${encodeURIComponent(key.device_id)}/channels/${encodeURIComponent(key.channel_id)}`
