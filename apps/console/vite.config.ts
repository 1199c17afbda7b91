import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

const server = process.env['FORECOURT_URL'] ?? 'http://127.0.0.1:8000'

export default defineConfig({
  base: '/console/',
  plugins: [vue()],
  build: {
    outDir: '../../src/forecourt/api/web/console',
    emptyOutDir: true,
    target: 'es2022',
    // Files stand alone: the page's content policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
  },
  server: { port: 5173, proxy: { '/api': server } },
})
