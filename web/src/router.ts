import { watch } from 'vue'
import { createRouter, createWebHashHistory } from 'vue-router'
import { token } from './api/client.ts'
import DevicesPage from './pages/DevicesPage.vue'
import LoginPage from './pages/LoginPage.vue'

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/', redirect: '/devices' },
    { path: '/login', name: 'login', component: LoginPage },
    { path: '/devices/:device?', name: 'devices', component: DevicesPage },
    // With the player, which is most of the weight.
    { path: '/live', name: 'live', component: () => import('./pages/LivePage.vue') },
    { path: '/:rest(.*)*', redirect: '/devices' },
  ],
})

router.beforeEach((to) => {
  if (!token.value && to.name !== 'login') return { name: 'login', query: { to: to.fullPath } }
  if (token.value && to.name === 'login') return { name: 'devices' }
  return true
})

// The token was refused or has expired while a page was open.
watch(token, (value) => {
  const here = router.currentRoute.value
  if (!value && here.name !== 'login') void router.replace({ name: 'login', query: { to: here.fullPath } })
})
