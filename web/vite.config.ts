import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

/** Where `npm run dev` finds a running server. */
const server = process.env['GB28181_SERVER'] ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [vue()],
  define: {
    __VUE_OPTIONS_API__: false,
    __VUE_PROD_DEVTOOLS__: false,
    __VUE_I18N_LEGACY_API__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
  },
  build: {
    outDir: fileURLToPath(new URL('../src/gb28181/edge/console', import.meta.url)),
    emptyOutDir: true,
    // The Chromium builds of domestic desktops lag years behind.
    target: ['chrome87', 'firefox91', 'safari15'],
    // A font or picture inlined as data: would need a hole in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/api': { target: server, ws: true },
      '/media': { target: server, ws: true },
    },
  },
})
