/** Seconds to wait after the n-th failure in a row (n from 1): 1, 2, 4, 8, 16, then 30. */
export function delayAfter(failures: number): number {
  return Math.min(30, 2 ** Math.max(0, Math.min(failures, 6) - 1))
}

/** As `delayAfter`, 5 at most: for what costs no device anything and is missed every second that it is away. */
export function soonAfter(failures: number): number {
  return Math.min(5, delayAfter(failures))
}
