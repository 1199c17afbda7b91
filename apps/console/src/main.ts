import { VueQueryPlugin } from '@tanstack/vue-query'
import { createApp } from 'vue'
import '@forecourt/ui/tokens.css'
import './element'
import './style.css'
import App from './App.vue'
import { i18n } from './i18n'
import { queryClient } from './queries'
import { router } from './router'

createApp(App).use(i18n).use(VueQueryPlugin, { queryClient }).use(router).mount('#app')
