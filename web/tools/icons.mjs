/**
 * Draws the app's icons from one geometry: a tile broken in two, the halves ready to be laid together. Writes an SVG and
 * the PNG sizes that phones ask for. Called by build.mjs alone; needs no image tool on the machine.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { PNG } from "pngjs";

const INK = [0x0b, 0x4a, 0x57];
const LEFT = [0xf7, 0xf3, 0xea];
const RIGHT = [0xe9, 0xb4, 0x4c];

// On a 100 × 100 field. The break is the same line on both halves, shifted: the halves fit one another and nothing else.
const LEFT_HALF = [[22, 22], [54, 22], [43, 42], [53, 58], [42, 78], [22, 78]];
const RIGHT_HALF = [[61, 22], [78, 22], [78, 78], [49, 78], [60, 58], [50, 42]];

const hex = (colour) => `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
const path = (points) => `M${points.map((point) => point.join(" ")).join("L")}Z`;

/** The icon as SVG; `radius` rounds the field's corners (0 for a maskable icon, which the phone cuts itself). */
export function iconSvg(radius) {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><rect width="100" height="100" rx="${radius}" fill="${hex(INK)}"/>` +
    `<path d="${path(LEFT_HALF)}" fill="${hex(LEFT)}"/><path d="${path(RIGHT_HALF)}" fill="${hex(RIGHT)}"/></svg>\n`
  );
}

function inside(points, x, y) {
  let hit = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [xi, yi] = points[i];
    const [xj, yj] = points[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) hit = !hit;
  }
  return hit;
}

function insideField(x, y, radius) {
  const dx = Math.max(radius - x, x - (100 - radius), 0);
  const dy = Math.max(radius - y, y - (100 - radius), 0);
  return dx * dx + dy * dy <= radius * radius || radius === 0;
}

/** Returns a PNG of `size` pixels square, 4 × 4 samples a pixel. */
function iconPng(size, radius) {
  const png = new PNG({ width: size, height: size });
  const samples = 4;
  for (let py = 0; py < size; py++) {
    for (let px = 0; px < size; px++) {
      const sum = [0, 0, 0, 0];
      for (let s = 0; s < samples * samples; s++) {
        const x = ((px + ((s % samples) + 0.5) / samples) * 100) / size;
        const y = ((py + (Math.floor(s / samples) + 0.5) / samples) * 100) / size;
        if (!insideField(x, y, radius)) continue;
        const colour = inside(LEFT_HALF, x, y) ? LEFT : inside(RIGHT_HALF, x, y) ? RIGHT : INK;
        for (let c = 0; c < 3; c++) sum[c] += colour[c];
        sum[3] += 1;
      }
      const at = (py * size + px) * 4;
      for (let c = 0; c < 3; c++) png.data[at + c] = sum[3] === 0 ? 0 : Math.round(sum[c] / sum[3]);
      png.data[at + 3] = Math.round((sum[3] * 255) / (samples * samples));
    }
  }
  return PNG.sync.write(png);
}

/** Writes icon.svg, icon-192.png, icon-512.png, maskable-512.png and apple-touch-180.png into `folder`. */
export async function writeIcons(folder) {
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}/icon.svg`, iconSvg(22));
  await writeFile(`${folder}/icon-192.png`, iconPng(192, 22));
  await writeFile(`${folder}/icon-512.png`, iconPng(512, 22));
  await writeFile(`${folder}/maskable-512.png`, iconPng(512, 0));
  await writeFile(`${folder}/apple-touch-180.png`, iconPng(180, 0));
}
