import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

const server = process.env['FORECOURT_URL'] ?? 'http://127.0.0.1:8000'

export default defineConfig({
  base: '/device/',
  plugins: [vue()],
  build: {
    outDir: '../../src/forecourt/api/web/terminal',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
  },
  server: { port: 5174, proxy: { '/api': server } },
})
