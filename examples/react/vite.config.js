import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  // As your proxy does in production: Stile is on the page's own host.
  server: { proxy: { '/stile/': 'http://127.0.0.1:8081' } },
})
