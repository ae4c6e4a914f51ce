// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { defineConfig } from 'vite';

// The result is embedded in the plugin, from cmd/kubectl-canary/dashboard/dist. Names have no hashes, so that a change of the code
// shows as a change of the same files.
export default defineConfig({
  base: './',
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    license: { fileName: 'licenses.md' },
    target: 'es2022',
    rollupOptions: {
      output: { entryFileNames: 'page.js', chunkFileNames: '[name].js', assetFileNames: '[name][extname]' },
    },
  },
});
