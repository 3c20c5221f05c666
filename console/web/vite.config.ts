import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// What is built is committed and embedded into the Go package, so names stay the same from build to build, and nothing is inlined: the pages' Content-Security-Policy
// knows files of their own origin only.
export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
    rollupOptions: {
      output: {
        entryFileNames: "assets/console.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  // The API of a program that runs, for work on the pages: SKALD=http://127.0.0.1:8080 npm run dev
  server: { host: "127.0.0.1", proxy: { "/v1": process.env["SKALD"] ?? "http://127.0.0.1:8080" } },
});
