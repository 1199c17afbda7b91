// One instance per application: the shared messages plus its own.
import { createI18n, type I18n } from 'vue-i18n'
import en from './locales/en.json'
import zhCN from './locales/zh-CN.json'
import { recall, remember } from './remember'

export const LOCALES = ['zh-CN', 'en'] as const
export type Locale = (typeof LOCALES)[number]
type Messages = Record<string, unknown>
export type ForecourtI18n = I18n<Record<Locale, Messages>, Messages, Messages, string, false>

/** The locale chosen before; zh-CN until one was. */
function firstLocale(): Locale {
  const kept = recall('locale')
  return LOCALES.find((locale) => locale === kept) ?? 'zh-CN'
}

export function createForecourtI18n(own: Record<Locale, Messages>): ForecourtI18n {
  const locale = firstLocale()
  document.documentElement.lang = locale
  return createI18n({
    legacy: false,
    locale,
    fallbackLocale: 'en',
    messages: { 'zh-CN': { ...zhCN, ...own['zh-CN'] }, en: { ...en, ...own.en } },
  }) as unknown as ForecourtI18n
}

export function otherLocale(locale: string): Locale {
  return locale === 'zh-CN' ? 'en' : 'zh-CN'
}

/** Remember the choice and tell the document; the caller sets the i18n's own `locale`. */
export function rememberLocale(locale: Locale): void {
  remember('locale', locale)
  document.documentElement.lang = locale
}
