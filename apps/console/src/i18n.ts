import { createForecourtI18n } from '@forecourt/ui'
import en from './locales/en.json'
import zhCN from './locales/zh-CN.json'

export const i18n = createForecourtI18n({ 'zh-CN': zhCN, en })
