// The rules of the house that no linter knows.
import { describe, expect, it } from 'vitest'

const sources = import.meta.glob<string>('../{console,terminal,packages/*}/src/**/*.{vue,ts,css}', {
  eager: true,
  query: '?raw',
  import: 'default',
})
const files = Object.entries(sources).filter(([path]) => !path.endsWith('schema.d.ts'))
const LINES_MAX = 300

const importsOf = (text: string): string[] => [...text.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(([, path]) => path ?? '')
const kebab = (name: string): string => name.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()

/** `features/sale` of '../console/src/features/sale/pay/PayDialog.vue'. */
const featureOf = (path: string): string | undefined => /\/features\/(\w+)\//.exec(path)?.[1]
const resolved = (from: string, to: string): string => new URL(to, `file://${from.replace('..', '')}`).pathname

describe.each(files)('%s', (path, text) => {
  it('imports no other feature', () => {
    const own = featureOf(path)
    const features = importsOf(text).map((target) => (target.startsWith('.') ? featureOf(resolved(path, target)) : undefined))
    expect(features.filter((feature) => own !== undefined && feature !== undefined && feature !== own)).toEqual([])
  })

  it('knows no feature if it serves them all', () => {
    const serves = /\/(common|shell|packages)\//.test(path)
    expect(importsOf(text).filter((target) => serves && target.includes('features/'))).toEqual([])
  })

  it(`has at most ${LINES_MAX} lines`, () => {
    expect(text.split('\n').length).toBeLessThanOrEqual(LINES_MAX)
  })

  it('never hands markup to the browser unread', () => {
    expect(text).not.toMatch(/v-html|innerHTML|outerHTML|insertAdjacentHTML|document\.write/)
  })

  it('makes no money or quantity out of a float', () => {
    expect(text).not.toMatch(/parseFloat|toFixed|_fen\s*\/|_e4\s*\/|Fen\s*\/|E4\s*\//)
  })
})

it('loads the style of every Element Plus component in use', () => {
  const used = new Set<string>()
  for (const [path, text] of files) {
    if (!path.startsWith('../console/')) continue
    for (const [, names] of text.matchAll(/import \{([^}]+)\} from 'element-plus'/g)) {
      for (const name of (names ?? '').split(',')) used.add(kebab(name.trim().replace(/^El/, '')))
    }
  }
  used.delete('config-provider')
  const loaded = [...(sources['../console/src/element.ts'] ?? '').matchAll(/components\/([\w-]+)\/style/g)].map(([, name]) => name ?? '')
  expect(loaded.toSorted()).toEqual([...used].toSorted())
})
