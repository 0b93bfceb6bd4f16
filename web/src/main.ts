import { createApp } from 'vue'
import App from './App.vue'
import { followEvents } from './api/events.ts'
import { apply, i18n } from './i18n/index.ts'
import { router } from './router.ts'
import './style.css'

apply()
followEvents()
createApp(App).use(i18n).use(router).mount('#app')
