/** Why a picture does not come, as the key of a sentence with its likely cause and remedy (i18n `reason.*`). */

export interface Failure {
  code: string
  /** Last stage reached, "" unknown. */
  stage: string
  detail: Record<string, unknown>
}

const BY_STAGE: Record<string, string> = {
  reserved: 'not_sent',
  invited: 'no_answer',
  trying: 'no_final_answer',
  answered: 'no_media',
  connected: 'silent_connection',
  first_rtp: 'not_ps',
  first_ps: 'no_key_frame',
  first_key_frame: 'not_forwarded',
}

/** SIP answers of 300 and more; the hundreds stand for those that are not named. */
const BY_SIP_STATUS: Record<number, string> = {
  401: 'refused_auth',
  403: 'refused_auth',
  404: 'refused_unknown',
  407: 'refused_auth',
  408: 'refused_away',
  410: 'refused_unknown',
  415: 'refused_media',
  480: 'refused_away',
  486: 'refused_busy',
  488: 'refused_media',
  500: 'refused_error',
  503: 'refused_busy',
  504: 'refused_away',
  600: 'refused_busy',
  603: 'refused_auth',
  606: 'refused_media',
}

const BY_CODE: Record<string, string> = {
  network: 'no_server',
  device_offline: 'offline',
  not_found: 'gone',
  forbidden: 'forbidden',
  unavailable: 'overloaded',
  control_unavailable: 'overloaded',
  storage: 'overloaded',
  peer_timeout: 'no_answer',
  peer_error: 'refused',
}

export function reasonOf(failure: Failure): string {
  const sip = sipStatusOf(failure.detail)
  if (sip >= 300) return BY_SIP_STATUS[sip] ?? (sip >= 500 && sip < 600 ? 'refused_error' : 'refused')
  // An offline device is never invited: nothing was tried, whatever the stage says.
  if (failure.code === 'device_offline') return 'offline'
  return BY_STAGE[failure.stage] ?? BY_CODE[failure.code] ?? 'unknown'
}

export function sipStatusOf(detail: Record<string, unknown>): number {
  const status = Number(detail['sip_status'] ?? 0)
  return Number.isInteger(status) ? status : 0
}

/** What mpegts.js reports: `details` of its ERROR event and the message of the browser below it. */
export function playerReasonOf(details: string, message: string): string {
  if (details === 'CodecUnsupported') return 'browser_codec'
  if (details === 'MediaMSEError') return /hvc1|hev1|hevc/i.test(message) ? 'browser_no_h265' : 'browser_decode'
  if (details === 'FormatError' || details === 'FormatUnsupported') return 'browser_decode'
  return 'link_lost'
}

/** Whether trying again by itself can help: what the browser cannot do now it cannot do in a minute. */
export const isFinal = (reason: string): boolean =>
  ['browser_no_h265', 'browser_no_mse', 'browser_codec', 'forbidden'].includes(reason)
