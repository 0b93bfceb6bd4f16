/**
 * Steering a camera while a key or a button is held. A movement is a lease: it is renewed here once a second, and the server
 * stops the camera when nobody renews it, so a page that vanishes leaves no camera turning.
 */

/** Speeds of the axes, -1 to 1; positive is right, up, in, far, open. */
export interface Vector {
  pan?: number
  tilt?: number
  zoom?: number
  focus?: number
  iris?: number
}

export interface Channel {
  /** Sends a movement; the promise ends when the camera has answered. */
  move(speed: Vector, leaseS: number, signal: AbortSignal): Promise<void>
  stop(): Promise<void>
  /** As `stop`, but of a page that is being closed: nobody waits for the answer. */
  stopAndLeave(): void
  failed(problem: unknown): void
  /** Whether a movement that failed so has certainly not reached the camera. */
  isRefusal(problem: unknown): boolean
}

export const LEASE_S = 3
const RENEW_MS = 1_000
/** A stop must not overtake its movement on the way: so long it waits for the answer to that. */
const PATIENCE_MS = 400

export class Steering {
  private readonly channel: Channel
  private held: Vector | null = null
  private moving: Promise<void> | null = null
  private cut: AbortController | null = null
  private timer: ReturnType<typeof setInterval> | undefined
  private isStopping = false
  /** A movement failed: whether the camera was told it nobody knows. */
  private isInDoubt = false

  constructor(channel: Channel) {
    this.channel = channel
  }

  get isHeld(): boolean {
    return this.held !== null
  }

  /** Begins a movement, or changes the one that is held. */
  hold(speed: Vector): void {
    if (Object.values(speed).every((value) => value === 0)) return this.release()
    this.held = speed
    this.isInDoubt = false
    clearInterval(this.timer)
    this.timer = setInterval(() => this.send(), RENEW_MS)
    this.send()
  }

  /** Ends what is held; twice is as good as once. */
  release(): void {
    if (!this.held) return
    this.rest()
    void this.stopped()
  }

  /** The page is going away. */
  leave(): void {
    // A stop that is on its way may be lost with the page; a movement that is on its way fails before the page is told to go.
    if (!this.held && !this.isStopping && !this.isInDoubt) return
    this.isStopping = this.isInDoubt = false
    this.rest()
    this.channel.stopAndLeave()
  }

  private rest(): void {
    this.held = null
    clearInterval(this.timer)
  }

  private send(): void {
    const speed = this.held
    if (!speed || this.moving) return // what is under way is followed by the newest, see below
    const cut = (this.cut = new AbortController())
    this.moving = this.channel
      .move(speed, LEASE_S, cut.signal)
      .catch((problem: unknown) => {
        if (cut.signal.aborted || (this.held && this.held !== speed)) return
        this.isInDoubt = !this.channel.isRefusal(problem)
        this.rest()
        this.channel.failed(problem)
      })
      .finally(() => {
        this.moving = null
        if (this.held && this.held !== speed) this.send()
      })
  }

  private async stopped(): Promise<void> {
    this.isStopping = true
    if (this.moving) {
      await Promise.race([this.moving, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))])
      this.cut?.abort()
    }
    if (this.held || !this.isStopping) return // held again meanwhile, or the page has gone
    try {
      await this.channel.stop()
    } catch (problem) {
      this.channel.failed(problem)
    }
    this.isStopping = false
  }
}

/** What the held keys mean together; two that contradict each other stand still. */
export const KEYS: Record<string, Vector> = {
  ArrowLeft: { pan: -1 },
  ArrowRight: { pan: 1 },
  ArrowUp: { tilt: 1 },
  ArrowDown: { tilt: -1 },
  '+': { zoom: 1 },
  '=': { zoom: 1 },
  '-': { zoom: -1 },
  PageUp: { zoom: 1 },
  PageDown: { zoom: -1 },
}

export function together(parts: Iterable<Vector>, speed: number): Vector {
  const sum: Vector = {}
  for (const part of parts) {
    for (const [axis, value] of Object.entries(part) as [keyof Vector, number][]) sum[axis] = (sum[axis] ?? 0) + value
  }
  const out: Vector = {}
  for (const [axis, value] of Object.entries(sum) as [keyof Vector, number][]) out[axis] = Math.sign(value) * speed
  return out
}

export interface Rect {
  left: number
  top: number
  width: number
  height: number
}

/** Where the picture is in its element, which is wider or higher than it (`object-fit: contain`). */
export function pictureIn(box: Rect, videoWidth: number, videoHeight: number): Rect {
  const scale = Math.min(box.width / videoWidth, box.height / videoHeight)
  const width = videoWidth * scale
  const height = videoHeight * scale
  return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height }
}

export interface DragZoom {
  direction: 'in' | 'out'
  window_width: number
  window_height: number
  center_x: number
  center_y: number
  width: number
  height: number
}

interface Point {
  x: number
  y: number
}

/** A drag that is shorter than this is a click. */
const SHORTEST_PX = 8

/** What a drag over the picture asks for, in pixels of the video: rightwards zooms in, leftwards out. Null: it was a click. */
export function dragZoomOf(from: Point, to: Point, picture: Rect, videoWidth: number, videoHeight: number): DragZoom | null {
  const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high)
  const at = (point: Point): Point => ({
    x: (clamp(point.x - picture.left, 0, picture.width) / picture.width) * videoWidth,
    y: (clamp(point.y - picture.top, 0, picture.height) / picture.height) * videoHeight,
  })
  if (Math.abs(to.x - from.x) < SHORTEST_PX || Math.abs(to.y - from.y) < SHORTEST_PX) return null
  const [a, b] = [at(from), at(to)]
  const width = Math.round(Math.abs(b.x - a.x))
  const height = Math.round(Math.abs(b.y - a.y))
  if (width < 1 || height < 1) return null
  return {
    direction: to.x > from.x ? 'in' : 'out',
    window_width: videoWidth,
    window_height: videoHeight,
    center_x: Math.round((a.x + b.x) / 2),
    center_y: Math.round((a.y + b.y) / 2),
    width,
    height,
  }
}

/** Type of a camera that certainly does not move (A.2.1.9: 3, a fixed one); what is unknown may. */
export const mayMove = (ptzType: number): boolean => ptzType !== 3
