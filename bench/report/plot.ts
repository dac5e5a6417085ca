/** The report as a picture: one bar per goal, as long as what was reached of it. */
import { METRICS } from '../row.ts';
import type { Line } from './summary.ts';
import { quantity, times } from './wording.ts';

const TITLE = 'Reached, as a share of the goal (the line)';
const LABEL_WIDTH = 330;
const BAR_WIDTH = 420;
const VALUE_WIDTH = 210;
const LINE_HEIGHT = 22;
const TOP = 44;
/** Where the bar ends that reaches its goal exactly; one that doubles it fills the width. */
const GOAL_AT = BAR_WIDTH / 2;
const COLOURS = { stretch: '#1a7f37', met: '#2da44e', missed: '#cf222e', 'no goal': '#8c959f' } as const;

/** An SVG of all lines that have a goal. Longer is better, whatever the metric. */
export function plot(lines: readonly Line[], subtitle: string): string {
  const drawn = lines.filter(({ goal }) => goal.target !== undefined);
  const width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH;
  const height = TOP + drawn.length * LINE_HEIGHT + 16;
  const goalX = LABEL_WIDTH + GOAL_AT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${TITLE}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="8" y="18" font-size="14" font-weight="bold">${TITLE}</text>`,
    `<text x="8" y="34" font-size="9" fill="#57606a">${escaped(subtitle)}</text>`,
    ...drawn.map((line, at) => bar(line, TOP + at * LINE_HEIGHT)),
    `<line x1="${goalX}" y1="${TOP - 4}" x2="${goalX}" y2="${height - 12}" stroke="#24292f" stroke-dasharray="3 3"/>`,
    '</svg>',
    '',
  ].join('\n');
}

function bar({ row, metric, goal, subject, ratio, verdict }: Line, y: number): string {
  const reached = (ratio ?? subject.spread).median;
  const target = goal.target ?? Number.NaN;
  const share = METRICS[metric].better === 'more' ? reached / target : target / reached;
  const length = Math.max(1, Math.min(BAR_WIDTH, Math.round(Math.max(0, share) * GOAL_AT)));
  const text = ratio === undefined ? quantity(reached, metric) : times(reached);
  const label = metric === 'rate' ? row : `${row}: ${METRICS[metric].title}`;
  return [
    `<text x="8" y="${y + 14}">${escaped(label)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${y + 3}" width="${length}" height="${LINE_HEIGHT - 7}" fill="${COLOURS[verdict]}"/>`,
    `<text x="${LABEL_WIDTH + BAR_WIDTH + 8}" y="${y + 14}">${escaped(text)}</text>`,
  ].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
