// Hatches what a chart does not know: no line is drawn across it.
import { colour } from "./dom.js";

const APART = 7,
  NARROWEST = 4,
  TEXT_FROM = 78;
const FONT_SIZE = 11.5;

/** Hatch a gap {from, to, text} in seconds. */
export function hatch(plot, { from, to, text }) {
  const { left: first, top, width, height } = plot.bbox;
  const left = Math.max(first, plot.valToPos(from, "x", true));
  const right = Math.min(first + width, plot.valToPos(to, "x", true));
  if (!(right - left >= NARROWEST * devicePixelRatio)) return;
  const context = plot.ctx;
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, height);
  context.clip();
  drawLines(context, left, right, top, height);
  if (text && right - left > TEXT_FROM * devicePixelRatio)
    drawText(context, text, (left + right) / 2, top + height / 2);
  context.restore();
}

function drawLines(context, left, right, top, height) {
  context.strokeStyle = colour("--line-strong");
  context.globalAlpha = 0.75;
  context.lineWidth = 1;
  context.beginPath();
  for (let x = left - height; x < right; x += APART * devicePixelRatio) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.globalAlpha = 1;
}

function drawText(context, text, x, y) {
  const scale = devicePixelRatio;
  context.font = `${FONT_SIZE * scale}px Inter, system-ui, sans-serif`;
  const width = context.measureText(text).width + 10 * scale;
  context.fillStyle = colour("--card");
  context.fillRect(x - width / 2, y - 9 * scale, width, 18 * scale);
  context.fillStyle = colour("--dim");
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y);
}
