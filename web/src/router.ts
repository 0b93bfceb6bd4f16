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
