// What jsQR sees in a picture, as a camera would: JSON with the SVG in, what the code says out.
//
// The picture is drawn by hand, of what our own pictures have in them: a ground, and a path of squares.
import jsQR from 'jsqr';

let text = '';
for await (const part of process.stdin) text += part;
const { svg } = JSON.parse(text);
const [, width, height] = svg.match(/viewBox="0 0 (\d+) (\d+)"/).map(Number);
const [, path] = svg.match(/<path fill="#000" d="([^"]+)"/);
const squares = [...path.matchAll(/M(\d+) (\d+)h(\d+)v(\d+)H\1V\2/g)];
if (squares.map(([whole]) => whole).join('') !== path) throw new Error('there is more in the path than squares');
const pixels = new Uint8ClampedArray(width * height * 4).fill(255);
for (const [left, top, wide, high] of squares.map((square) => square.slice(1).map(Number))) {
  for (let y = top; y < top + high; y++) {
    pixels.subarray((y * width + left) * 4, (y * width + left + wide) * 4).set(new Array(wide).fill([0, 0, 0, 255]).flat());
  }
}
console.log(JSON.stringify(jsQR(pixels, width, height).data));
