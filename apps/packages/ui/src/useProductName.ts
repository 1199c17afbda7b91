import { useI18n } from 'vue-i18n'

/** A product's name in the reader's language. */
export function useProductName(): (product: { name: string; name_zh: string } | null) => string {
  const { locale } = useI18n()
  return (product) => {
    if (product === null) return '—'
    return locale.value === 'zh-CN' ? product.name_zh || product.name : product.name || product.name_zh
  }
}
