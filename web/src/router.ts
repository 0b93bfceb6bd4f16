import { watch } from 'vue'
import { createRouter, createWebHashHistory } from 'vue-router'
import { mayAdminister, token } from './api/client.ts'
import LoginPage from './pages/LoginPage.vue'
import StartPage from './pages/StartPage.vue'

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/', name: 'start', component: StartPage },
    { path: '/login', name: 'login', component: LoginPage },
    // Each page by itself: the players are most of the weight.
    { path: '/devices/:device?', name: 'devices', component: () => import('./pages/DevicesPage.vue') },
    { path: '/live', name: 'live', component: () => import('./pages/LivePage.vue') },
    { path: '/playback/:channel?', name: 'playback', component: () => import('./pages/PlaybackPage.vue') },
    { path: '/alarms', name: 'alarms', component: () => import('./pages/AlarmsPage.vue') },
    { path: '/positions/:channel?', name: 'positions', component: () => import('./pages/PositionsPage.vue') },
    { path: '/system/:tab(users|audit|state)?', name: 'system', component: () => import('./pages/SystemPage.vue') },
    { path: '/:rest(.*)*', redirect: '/' },
  ],
})

router.beforeEach((to) => {
  if (!token.value && to.name !== 'login') return { name: 'login', query: { to: to.fullPath } }
  if (token.value && to.name === 'login') return { name: 'start' }
  if (to.name === 'system' && !mayAdminister.value) return { name: 'start' }
  return true
})

// The token was refused or has expired while a page was open.
watch(token, (value) => {
  const here = router.currentRoute.value
  if (!value && here.name !== 'login') void router.replace({ name: 'login', query: { to: here.fullPath } })
})

// A page's file is gone: the server was updated since this tab was opened, or is being started. Nothing happening on a click would
// be all that is seen of it, so the console is loaded anew, at the page that was wanted, as soon as the server answers.
router.onError((error: unknown, to) => {
  if (error instanceof Error && LOST_FILE.test(error.message)) void loadAnew(to.fullPath)
})

/** Words of Chromium, Firefox, Safari and Vite for an import that fails. */
const LOST_FILE = /dynamically imported module|Importing a module script failed|Unable to preload/
const LOADED_ANEW = 'gb28181.loaded_anew'
const AGAIN_MS = 2_000
const PATIENCE_MS = 30_000

async function loadAnew(path: string): Promise<void> {
  // Once in a while: a file that stays lost must not keep the tab reloading.
  if (Date.now() - Number(sessionStorage.getItem(LOADED_ANEW) ?? 0) < PATIENCE_MS) return
  for (;;) {
    const answer = await fetch('/', { cache: 'no-store' }).catch(() => null)
    if (answer?.ok) break
    await new Promise((resolve) => window.setTimeout(resolve, AGAIN_MS))
  }
  sessionStorage.setItem(LOADED_ANEW, String(Date.now()))
  window.location.hash = path
  window.location.reload()
}
