/**
 * Plays recordings of one channel by the wall clock: opens a window of at most two hours as HLS, and the next one when it
 * ends or when somebody seeks outside of it. A failure is told once; trying again is the page's business.
 */
import Hls, { ErrorTypes, Events, type ErrorData } from 'hls.js/light'
import { ApiError, call, channelPath, endSession } from '../api/client.ts'
import type { PlaybackSession } from '../api/types.ts'
import type { ChannelKey } from '../live/layout.ts'
import { timeAt, wallAt, windowAround, type Entry } from './windows.ts'
import type { Interval } from './timeline.ts'

export type PlaybackState = 'idle' | 'opening' | 'playing' | 'paused' | 'buffering' | 'ended' | 'failed'

export interface PlaybackProblem {
  reason: 'nothing' | 'browser_no_mse' | 'browser_codec' | 'browser_decode' | 'no_server' | 'forbidden' | 'overloaded' | 'unknown'
  message: string
}

/** Seconds of a window that hls.js keeps behind the playhead, and reads ahead. */
const BEHIND_S = 30
const AHEAD_S = 30
/** Errors in a row after which a window is opened anew, and after which it is given up. */
const MOST_RECOVERIES = 2

export class PlaybackPlayer {
  readonly #video: HTMLVideoElement
  readonly #changed: (state: PlaybackState, problem: PlaybackProblem | null) => void
  readonly #remember = (): void => this.#update()
  readonly #ended = (): void => this.#windowEnded()

  #hls: Hls | null = null
  #session: PlaybackSession | null = null
  #window: Interval | null = null
  #channel: ChannelKey | null = null
  #wanted = 0
  #serial = 0
  #recoveries = 0
  #wantsToPlay = true
  #rate = 1
  #state: PlaybackState = 'idle'

  constructor(video: HTMLVideoElement, changed: (state: PlaybackState, problem: PlaybackProblem | null) => void) {
    this.#video = video
    this.#changed = changed
    for (const name of STATE_EVENTS) video.addEventListener(name, this.#remember)
    video.addEventListener('ended', this.#ended)
  }

  destroy(): void {
    this.close()
    for (const name of STATE_EVENTS) this.#video.removeEventListener(name, this.#remember)
    this.#video.removeEventListener('ended', this.#ended)
  }

  /** Shows a channel from a moment on. */
  open(channel: ChannelKey, at: number, play = true): void {
    this.#channel = channel
    this.#wantsToPlay = play
    this.#recoveries = 0
    void this.#load(at)
  }

  close(): void {
    this.#serial += 1
    this.#release()
    this.#channel = null
    this.#set('idle', null)
  }

  /** The wall clock under the playhead; while a window opens, the moment that was asked for. */
  wall(): number | null {
    if (!this.#channel) return null
    if (this.#state === 'opening' || !this.#entries.length) return this.#wanted
    return wallAt(this.#entries, this.#video.currentTime) ?? this.#wanted
  }

  /** Goes to a moment; a hole is skipped to what follows. */
  seek(at: number): void {
    if (!this.#channel) return
    this.#recoveries = 0
    const time = this.#window && at >= this.#window.start && at < this.#window.end ? timeAt(this.#entries, at) : null
    if (time === null || this.#state === 'failed' || this.#state === 'opening') {
      void this.#load(at)
      return
    }
    this.#wanted = at
    this.#video.currentTime = time
    if (this.#wantsToPlay) this.#play()
  }

  /** One picture's time forward or back. */
  nudge(seconds: number): void {
    this.pause()
    this.#video.currentTime = Math.max(0, this.#video.currentTime + seconds)
  }

  pause(): void {
    this.#wantsToPlay = false
    this.#video.pause()
  }

  resume(): void {
    this.#wantsToPlay = true
    if (this.#state === 'ended' || this.#state === 'failed') void this.#load(this.wall() ?? this.#wanted)
    else this.#play()
  }

  get isPaused(): boolean {
    return !this.#wantsToPlay
  }

  set rate(value: number) {
    this.#rate = value
    this.#video.defaultPlaybackRate = value
    this.#video.playbackRate = value
  }

  get #entries(): readonly Entry[] {
    return this.#hls?.levels[0]?.details?.fragments ?? []
  }

  async #load(at: number): Promise<void> {
    const channel = this.#channel
    if (!channel) return
    const mine = ++this.#serial
    this.#release()
    this.#wanted = at
    this.#set('opening', null)
    if (!Hls.isSupported()) {
      this.#fail('browser_no_mse', '')
      return
    }
    const window = windowAround(at, Date.now())
    let session: PlaybackSession
    try {
      session = await call<PlaybackSession>('POST', `${channelPath(channel)}/playback`, {
        start: new Date(window.start).toISOString(),
        end: new Date(window.end).toISOString(),
        source: 'platform',
      })
    } catch (error) {
      if (mine === this.#serial) this.#refused(error)
      return
    }
    if (mine !== this.#serial) {
      endSession(session.session_id)
      return
    }
    this.#session = session
    this.#window = window
    this.#attach(session.urls.hls, at)
  }

  #attach(url: string, at: number): void {
    const hls = new Hls({
      enableWorker: false, // The page's policy lets no worker in; fragments need no repackaging anyway.
      startPosition: 0,
      autoStartLoad: false,
      maxBufferLength: AHEAD_S,
      backBufferLength: BEHIND_S,
      lowLatencyMode: false,
    })
    this.#hls = hls
    hls.on(Events.LEVEL_LOADED, () => {
      if (hls !== this.#hls || this.#state !== 'opening') return
      const time = timeAt(this.#entries, at)
      if (time === null) {
        this.#release()
        this.#wanted = at
        this.#set('ended', null)
        return
      }
      hls.startLoad(time)
      this.#video.currentTime = time
      this.rate = this.#rate
      this.#set('buffering', null)
      if (this.#wantsToPlay) this.#play()
    })
    hls.on(Events.ERROR, (_, error) => {
      if (hls === this.#hls && error.fatal) this.#failed(error)
    })
    hls.on(Events.FRAG_BUFFERED, () => {
      this.#recoveries = 0
    })
    hls.loadSource(url)
    hls.attachMedia(this.#video)
  }

  #play(): void {
    this.#video.play().catch((error: unknown) => {
      // A browser plays sound only after a press in the page; a picture without sound is better than none.
      if (!(error instanceof DOMException) || error.name !== 'NotAllowedError' || this.#video.muted) return
      this.#video.muted = true
      this.#video.play().catch(() => this.#update())
    })
  }

  #windowEnded(): void {
    const wall = this.wall()
    if (this.#window && wall !== null && this.#channel) void this.#load(Math.max(wall + 40, this.#wanted))
  }

  #failed(error: ErrorData): void {
    const status = error.response?.code ?? 0
    if (error.details === 'manifestIncompatibleCodecsError' || error.details === 'bufferAddCodecError') {
      this.#fail('browser_codec', error.details)
      return
    }
    this.#recoveries += 1
    if (this.#recoveries > MOST_RECOVERIES) {
      const isMedia = error.type === ErrorTypes.MEDIA_ERROR
      this.#fail(isMedia ? 'browser_decode' : status === 0 ? 'no_server' : 'unknown', `${error.details} ${status || ''}`.trim())
      return
    }
    if (error.type === ErrorTypes.MEDIA_ERROR) {
      this.#hls?.recoverMediaError()
      return
    }
    // A link has expired, or the server was restarted: ask for a new one.
    void this.#load(this.wall() ?? this.#wanted)
  }

  #refused(error: unknown): void {
    if (!(error instanceof ApiError)) this.#fail('unknown', String(error))
    else if (error.status === 404) this.#fail('nothing', error.message)
    else if (error.status === 0) this.#fail('no_server', error.message)
    else if (error.status === 403) this.#fail('forbidden', error.message)
    else this.#fail(error.status === 503 ? 'overloaded' : 'unknown', error.message)
  }

  #fail(reason: PlaybackProblem['reason'], message: string): void {
    const at = this.wall()
    this.#release()
    if (at !== null) this.#wanted = at
    this.#set('failed', { reason, message })
  }

  #release(): void {
    this.#hls?.destroy()
    this.#hls = null
    this.#window = null
    if (this.#session) endSession(this.#session.session_id)
    this.#session = null
  }

  #update(): void {
    if (!this.#hls || this.#state === 'opening') return
    if (this.#video.paused) this.#set('paused', null)
    else if (this.#video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA || this.#video.seeking) this.#set('buffering', null)
    else this.#set('playing', null)
  }

  #set(state: PlaybackState, problem: PlaybackProblem | null): void {
    this.#state = state
    this.#changed(state, problem)
  }
}

const STATE_EVENTS = ['playing', 'pause', 'waiting', 'seeking', 'seeked', 'canplay'] as const
