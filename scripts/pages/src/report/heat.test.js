import assert from "node:assert/strict";
import { test } from "node:test";

// The module is of a page: its data are read when it is imported.
Reflect.set(globalThis, "window", { matchMedia: () => ({ matches: false }) });
Reflect.set(globalThis, "document", { getElementById: () => ({ textContent: '{"examples": []}' }) });
const { layoutFor } = await import("./heat.js");

test("methods stand beside one another where they fit, and all of a band is in the width", () => {
  for (const width of [300, 380, 600, 760, 1240, 2000])
    for (const methods of [1, 2, 3, 4, 9])
      for (const layers of [1, 6, 12, 24]) {
        const { each, cell } = layoutFor(width, methods, layers, 90);
        assert(each >= 1 && each <= methods && cell >= 15 && cell <= 44);
        const taken = each * (layers * cell + 10);
        // One method alone may be wider than a phone.
        if (each > 1 || layers * 15 + 10 <= width - 90) assert(taken <= width - 90, `${[width, methods, layers]}`);
      }
});

test("on a wide page the cells fill it, on a phone the methods stand in bands", () => {
  assert.deepEqual(layoutFor(1240, 4, 6, 100), { each: 4, cell: 44 });
  assert.deepEqual(layoutFor(1240, 4, 12, 100), { each: 4, cell: 22 });
  assert.deepEqual(layoutFor(376, 4, 6, 90), { each: 2, cell: 22 });
  assert.deepEqual(layoutFor(376, 4, 12, 90), { each: 1, cell: 23 });
});
