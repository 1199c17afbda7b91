// zh-CN and en say the same things, and nothing is said outside them.
import { describe, expect, it } from 'vitest'

type Tree = { [key: string]: Tree | string }

const locales = import.meta.glob<Tree>('../{console,terminal,packages/ui}/src/locales/*.json', { eager: true, import: 'default' })
const sources = import.meta.glob<string>('../{console,terminal,packages/*}/src/**/*.{vue,ts}', {
  eager: true,
  query: '?raw',
  import: 'default',
})
const HANZI = /\p{Script=Han}/u

function flat(tree: Tree, prefix = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === 'string') found.set(prefix + key, value)
    else for (const [inner, text] of flat(value, `${prefix}${key}.`)) found.set(inner, text)
  }
  return found
}

const of = (app: string, locale: string): Map<string, string> => flat(locales[`../${app}/src/locales/${locale}.json`] ?? {})
const placeholders = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '').toSorted()

describe.each(['console', 'terminal', 'packages/ui'])('messages of %s', (app) => {
  const zh = of(app, 'zh-CN')
  const en = of(app, 'en')

  it('has the same keys in both languages', () => {
    expect([...en.keys()].toSorted()).toEqual([...zh.keys()].toSorted())
    expect(zh.size).toBeGreaterThan(20)
  })

  it('fills in the same facts in both languages', () => {
    for (const [key, text] of zh) expect([key, placeholders(en.get(key) ?? '')]).toEqual([key, placeholders(text)])
  })

  it('leaves no message empty, and writes no hanzi in English but the name of Chinese', () => {
    const wrong = [...en].filter(([key, text]) => text.trim() === '' || (HANZI.test(text) && !key.endsWith('otherLanguage')))
    expect(wrong).toEqual([])
  })
})

describe.each(['console', 'terminal'])('texts of %s', (app) => {
  const known = new Set([...of(app, 'zh-CN').keys(), ...of('packages/ui', 'zh-CN').keys()])
  const parts = Object.entries(sources).filter(([path]) => path.startsWith(`../${app}/`))

  it('are all in the messages: no bare hanzi in a component', () => {
    const spoken = Object.entries(sources).filter(([, text]) => HANZI.test(withoutComments(text)))
    expect(spoken.map(([path]) => path)).toEqual([])
  })

  it.each(parts)('asks only for messages that exist: %s', (_, text) => {
    const keys = [...text.matchAll(/\bt\('([\w.]+)'/g)].map(([, key]) => key ?? '')
    const prefixes = [...text.matchAll(/\bt\(`([\w.]+\.)\$\{/g)].map(([, prefix]) => prefix ?? '')
    expect(keys.filter((key) => !known.has(key))).toEqual([])
    expect(prefixes.filter((prefix) => ![...known].some((key) => key.startsWith(prefix)))).toEqual([])
  })
})

function withoutComments(text: string): string {
  return text.replace(/^\s*\/\/.*$/gm, '').replace(/\/\*[\s\S]*?\*\//g, '').replace(/<!--[\s\S]*?-->/g, '')
}
