import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const none = fileURLToPath(new URL("src/none.ts", import.meta.url));

export default defineConfig({
  // Addresses relative to the page: a proxy may serve all this under a path.
  base: "./",
  resolve: { alias: [{ find: /^numcodecs\/.*/, replacement: none }] },
  build: {
    outDir: "../../service/sammoe/api/viewer/dist",
    emptyOutDir: true,
    // No data: addresses beside those that NiiVue brings.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4000,
    license: { fileName: "licences.md" },
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000", "/dicom-web": "http://127.0.0.1:8000" } },
});
