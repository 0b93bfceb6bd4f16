/** The light build has the same names as the whole one, and no declarations of its own. */
declare module 'hls.js/light' {
  export { default } from 'hls.js'
  export * from 'hls.js'
}
