import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [vue()],
  test: {
    environment: 'jsdom',
    include: ['test/**/*.test.ts', '*/test/**/*.test.ts', 'packages/*/test/**/*.test.ts'],
    // Element Plus ships modules that import CSS, which only Vite understands.
    server: { deps: { inline: ['element-plus'] } },
    restoreMocks: true,
    unstubGlobals: true,
  },
})
