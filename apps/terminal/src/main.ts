import { createForecourtI18n } from '@forecourt/ui'
import '@forecourt/ui/tokens.css'
import { createApp } from 'vue'
import App from './App.vue'
import en from './locales/en.json'
import zhCN from './locales/zh-CN.json'
import './style.css'

createApp(App)
  .use(createForecourtI18n({ 'zh-CN': zhCN, en }))
  .mount('#app')
