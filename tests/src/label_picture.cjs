// Draws the label that stands on standard input as ZPL, and says what is to be seen on it: node label_picture.cjs PACKAGES
// WIDTH_MM HEIGHT_MM DOTS_PER_MM PICTURE.png. The picture goes to the file; standard output gets JSON.
const fs = require("fs");
const packages = require("module").createRequire(process.argv[2] + "/package.json");
const { ready } = packages("zpl-renderer-js");
const jsqr = packages("jsqr");
const { PNG } = packages("pngjs");

async function main() {
  const [width, height, dots] = process.argv.slice(3, 6).map(Number);
  const { api } = await ready;
  const zpl = fs.readFileSync(0, "utf8");
  const bytes = Buffer.from(await api.zplToBase64Async(zpl, width, height, dots), "base64");
  fs.writeFileSync(process.argv[6], bytes);
  const picture = PNG.sync.read(bytes);
  const code = (jsqr.default ?? jsqr)(new Uint8ClampedArray(picture.data), picture.width, picture.height);
  const rows = Array.from({ length: picture.height }, (_, y) => darkOf(picture, y));
  const corner = (at) => [Math.round(at.x), Math.round(at.y)];
  const qr = code && { text: code.data, from: corner(code.location.topLeftCorner), to: corner(code.location.bottomRightCorner) };
  process.stdout.write(JSON.stringify({ width: picture.width, height: picture.height, rows, qr }));
}

/** The columns of a row's dark dots. */
function darkOf(picture, y) {
  const columns = [];
  for (let x = 0; x < picture.width; x++) {
    const at = 4 * (y * picture.width + x);
    if (picture.data[at] < 128 && picture.data[at + 3] > 127) {
      columns.push(x);
    }
  }
  return columns;
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
