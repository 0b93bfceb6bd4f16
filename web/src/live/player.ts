/**
 * Shows one live channel in one `<video>` and keeps it alive: asks the API for a session, plays its WS-FLV, watches that
 * frames really come, and after any fault opens everything again with growing pauses. Says at each moment what is the case.
 */
import mpegts from 'mpegts.js'
import { ApiError, call, channelPath, endSession } from '../api/client.ts'
import type { LiveSession } from '../api/types.ts'
import { delayAfter } from './backoff.ts'
import type { ChannelKey } from './layout.ts'
import { isFinal, playerReasonOf, reasonOf, sipStatusOf } from './reasons.ts'

export interface Problem {
  /** Key of the sentence, `reason.<reason>`. */
  reason: string
  stage: string
  sipStatus: number
  /** The server's or the browser's own words. */
  message: string
}

export type PlayerState =
  | { kind: 'idle' }
  | { kind: 'opening' }
  | { kind: 'waiting' }
  | { kind: 'playing' }
  | { kind: 'stalled' }
  | { kind: 'failed'; problem: Problem; retryAt: number | null }

export interface Figures {
  /** Seconds since the last new frame, null before the first. */
  sinceFrame: number | null
  width: number
  height: number
  kbps: number
}

/** The server waits 18 s for the answer, then 10 s for media: only what lasts longer is our own fault to report. */
const OPEN_TIMEOUT_MS = 45_000
const FIRST_FRAME_MS = 12_000
const STALLED_MS = 4_000
const GIVEN_UP_MS = 15_000
/** A picture that has held this long makes the next fault the first one again. */
const PROVEN_MS = 10_000
/** Behind by more than this after the tab was hidden: jump to the newest picture instead of chasing it. */
const BEHIND_S = 3

export class LivePlayer {
  private readonly video: HTMLVideoElement
  private readonly onState: (state: PlayerState) => void
  private state: PlayerState = { kind: 'idle' }
  private key: ChannelKey | null = null
  private sessionId = ''
  private player: mpegts.Player | null = null
  private opening: AbortController | null = null
  private failures = 0
  private frames = 0
  private lastFrameAt = 0
  private openedAt = 0
  private playingSince = 0
  private kbps = 0

  constructor(video: HTMLVideoElement, onState: (state: PlayerState) => void) {
    this.video = video
    this.onState = onState
  }

  start(key: ChannelKey): void {
    this.stop()
    this.key = key
    void this.open(key)
  }

  stop(): void {
    this.release()
    this.key = null
    this.failures = 0
    this.become({ kind: 'idle' })
  }

  /** Tries again at once, as after a word from the server that the camera is back. */
  retryNow(): void {
    if (this.key && this.state.kind === 'failed') void this.open(this.key)
  }

  figures(now: number): Figures {
    return {
      sinceFrame: this.lastFrameAt ? Math.max(0, (now - this.lastFrameAt) / 1000) : null,
      width: this.video.videoWidth,
      height: this.video.videoHeight,
      kbps: this.kbps,
    }
  }

  /** To be called about twice a second. `now`: milliseconds of `performance.now()`. */
  tick(now: number): void {
    if (this.state.kind === 'failed') {
      if (this.state.retryAt !== null && now >= this.state.retryAt && this.key) void this.open(this.key)
      return
    }
    if (!this.player) return
    // A hidden tab may decode nothing, and that is no fault.
    if (document.hidden) {
      this.openedAt = now
      if (this.lastFrameAt) this.lastFrameAt = now
      return
    }
    const frames = this.video.getVideoPlaybackQuality().totalVideoFrames
    if (frames !== this.frames) {
      this.frames = frames
      this.lastFrameAt = now
      if (this.state.kind !== 'playing') {
        this.playingSince = now
        this.become({ kind: 'playing' })
      } else if (now - this.playingSince > PROVEN_MS) {
        this.failures = 0
      }
      this.catchUp()
    } else if (!this.lastFrameAt) {
      if (now - this.openedAt > FIRST_FRAME_MS) this.fail(local('not_forwarded'))
    } else if (now - this.lastFrameAt > GIVEN_UP_MS) {
      this.fail(local('stalled'))
    } else if (now - this.lastFrameAt > STALLED_MS && this.state.kind === 'playing') {
      this.become({ kind: 'stalled' })
    }
  }

  private async open(key: ChannelKey): Promise<void> {
    this.release()
    if (!mpegts.isSupported()) {
      this.fail(local('browser_no_mse'))
      return
    }
    this.become({ kind: 'opening' })
    const opening = new AbortController()
    this.opening = opening
    const timeout = window.setTimeout(() => opening.abort(), OPEN_TIMEOUT_MS)
    try {
      const session = await call<LiveSession>('POST', `${channelPath(key)}/live`, {}, opening.signal)
      if (this.opening !== opening) {
        endSession(session.session_id)
        return
      }
      this.sessionId = session.session_id
      this.play(session.urls.ws_flv)
    } catch (error) {
      if (this.opening !== opening) return
      if (error instanceof ApiError) this.fail(problemOf(error))
      else this.fail(local(opening.signal.aborted ? 'no_server' : 'unknown', String(error)))
    } finally {
      window.clearTimeout(timeout)
      if (this.opening === opening) this.opening = null
    }
  }

  private play(path: string): void {
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws'
    const player = mpegts.createPlayer(
      { type: 'flv', isLive: true, url: `${scheme}://${window.location.host}${path}` },
      {
        enableWorker: false, // a worker would be made from a blob: address, which the security policy forbids
        enableStashBuffer: false,
        liveBufferLatencyChasing: true,
        liveBufferLatencyMaxLatency: 1.5,
        liveBufferLatencyMinRemain: 0.4,
        lazyLoad: false,
        // A picture stays open for a whole shift: what has been shown is dropped from memory.
        autoCleanupSourceBuffer: true,
        autoCleanupMaxBackwardDuration: 30,
        autoCleanupMinBackwardDuration: 10,
      },
    )
    this.player = player
    this.frames = this.video.getVideoPlaybackQuality().totalVideoFrames
    this.lastFrameAt = 0
    this.openedAt = performance.now()
    this.become({ kind: 'waiting' })
    player.on(mpegts.Events.ERROR, (_type: string, details: string, info: { msg?: string } | undefined) => {
      if (this.player === player) this.fail(local(playerReasonOf(details, info?.msg ?? ''), info?.msg))
    })
    player.on(mpegts.Events.LOADING_COMPLETE, () => {
      if (this.player === player) this.fail(local('link_lost'))
    })
    player.on(mpegts.Events.STATISTICS_INFO, (statistics: { speed?: number }) => {
      this.kbps = (statistics.speed ?? 0) * 8
    })
    player.attachMediaElement(this.video)
    player.load()
    void Promise.resolve(player.play()).catch(() => {
      // Interrupted by the next load, or refused until there is data; `tick` sees whether frames come.
    })
  }

  private catchUp(): void {
    const { buffered, currentTime } = this.video
    if (buffered.length === 0) return
    const newest = buffered.end(buffered.length - 1)
    if (newest - currentTime > BEHIND_S) this.video.currentTime = newest - 0.5
    if (this.video.paused) void this.video.play().catch(() => undefined)
  }

  private fail(problem: Problem): void {
    this.release()
    this.failures += 1
    const pause = delayAfter(this.failures) * 1000
    this.become({ kind: 'failed', problem, retryAt: isFinal(problem.reason) ? null : performance.now() + pause })
  }

  private release(): void {
    this.opening?.abort()
    this.opening = null
    const { player, sessionId } = this
    this.player = null
    this.sessionId = ''
    this.lastFrameAt = 0
    this.kbps = 0
    player?.destroy()
    if (sessionId) endSession(sessionId)
  }

  private become(state: PlayerState): void {
    this.state = state
    this.onState(state)
  }
}

function problemOf(error: ApiError): Problem {
  return { reason: reasonOf(error), stage: error.stage, sipStatus: sipStatusOf(error.detail), message: error.message }
}

function local(reason: string, message = ''): Problem {
  return { reason, stage: '', sipStatus: 0, message }
}
