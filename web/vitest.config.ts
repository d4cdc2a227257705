/** How the unit tests run: in Node, no browser. Browser behaviour is tested end to end by tests/e2e. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["src/**/*.test.ts", "tests/**/*.test.ts"],
    testTimeout: 30_000,
  },
});
